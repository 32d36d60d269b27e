-- Where loading begins: rows of whole lines, about half a MiB each and some tens of MiB in one insert. Nothing is stored
-- here; 0003 takes a row apart before it turns to the next (max_block_size = 3000 in the insert), so that all of it is
-- still in the processor's cache. Rows of any other size give the same records, at half the speed.
CREATE TABLE landing
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    generation  UInt32,
    offset      UInt64,                            -- of the row's first byte
    block       String,
    maxvmem_cap Float64 DEFAULT 1125899906842624   -- bytes; a larger maxvmem is taken for a counter gone wrong
)
ENGINE = Null
