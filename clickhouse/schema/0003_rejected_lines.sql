-- Lines that could not be read, with their bytes; people read it through `rejects`.
CREATE TABLE IF NOT EXISTS rejected_lines
(
    cluster LowCardinality(String),
    file_id LowCardinality(String),
    generation UInt32,
    offset  UInt64,
    line    String,
    reason  String
)
ENGINE = ReplacingMergeTree
ORDER BY (cluster, file_id, offset, sipHash128(line))
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
