-- Lines with something unusual, and why they cannot be read, if so. Nothing is stored here.
CREATE TABLE examined_lines
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    generation  UInt32,
    offset      UInt64,
    maxvmem_cap Float64,
    line        String,         -- without its line end and without the NULs of a hole before it
    raw         String,         -- the line as it was read
    hole        Bool,           -- NULs stood before it
    colons      Bool,           -- a colon within a field was told from one between two
    layout      UInt64,         -- number of fields; 0 = a JSON object
    fields      Array(String),
    numbers     Array(Float64), -- of the first 45 fields, NaN where a field is none
    kinds       Array(String),  -- of these numbers, as in 0008
    reason      String          -- empty where the line can be read
)
ENGINE = Null
