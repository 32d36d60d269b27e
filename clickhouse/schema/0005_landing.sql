-- Where loading begins: one row per block of whole lines. Nothing is stored here; 0007 takes it apart.
CREATE TABLE IF NOT EXISTS landing
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    offset      UInt64,                            -- of the block's first byte
    block       String,
    maxvmem_cap Float64 DEFAULT 1125899906842624   -- bytes; a larger maxvmem is taken for a counter gone wrong
)
ENGINE = Null
