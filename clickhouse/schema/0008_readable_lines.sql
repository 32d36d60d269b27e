-- Lines that become records, straight from `split_lines` or examined first. Nothing is stored here.
CREATE TABLE IF NOT EXISTS readable_lines
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    offset      UInt64,
    maxvmem_cap Float64,
    line        String,
    hole        Bool,
    fields      Array(String),
    numbers     Array(Float64),  -- as in split_lines, 0 for what is missing
    gaps        UInt32           -- the bits of the missing measures, as in line_flags
)
ENGINE = Null
