-- What the rollups hold of each month: under which build, and from which parts of `accounting` (partition, first and last
-- block, mutation) they were made. Written last, so a month that is not here, or not so, is answered from the lines.
CREATE TABLE IF NOT EXISTS rollup_months
(
    month   Date,
    build   UInt64,
    made_by String,  -- the checksum in `definitions`, then the UUID of `accounting`
    parts   Array(Tuple(String, Int64, Int64, UInt64))
)
ENGINE = ReplacingMergeTree(build)
ORDER BY month
