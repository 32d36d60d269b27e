-- Lines with something unusual, and why they cannot be read, if so. Nothing is stored here.
CREATE TABLE IF NOT EXISTS examined_lines
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    offset      UInt64,
    maxvmem_cap Float64,
    line        String,
    hole        Bool,
    fields      Array(String),
    numbers     Array(Float64),
    kinds       Array(String),  -- of the numbers, as in 0011
    reason      String          -- empty where the line can be read
)
ENGINE = Null
