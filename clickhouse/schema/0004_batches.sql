-- What has been loaded, batch by batch, written after its rows are there; people read it through `ledger`.
CREATE TABLE IF NOT EXISTS batches
(
    cluster      LowCardinality(String),
    file_id      LowCardinality(String),
    generation   UInt32,           -- counts how often a file with this first line was begun again from 0
    start_offset UInt64,
    end_offset   UInt64,           -- bytes of the decompressed stream
    lines        UInt64,
    records      UInt64,
    rejects      UInt64,
    ignored      UInt64,
    tail_hash    FixedString(32),  -- of the 4 KiB before end_offset, in hexadecimal
    path         String,
    loaded_at    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (cluster, file_id, generation, start_offset, end_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
