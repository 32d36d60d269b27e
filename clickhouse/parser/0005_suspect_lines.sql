-- Lines with something unusual, to be examined one by one. Nothing is stored here.
-- A table of its own, so that planning the long query of 0008 is not repeated for blocks without any.
CREATE TABLE suspect_lines
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    generation  UInt32,
    offset      UInt64,
    maxvmem_cap Float64,
    line        String,  -- as it was read
    torn        Bool     -- the block ended before the line did
)
ENGINE = Null
