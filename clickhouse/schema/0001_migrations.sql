-- Which of these files have been applied; migrate.py reads and writes it.
CREATE TABLE IF NOT EXISTS migrations
(
    version    UInt16,
    name       String,
    checksum   FixedString(64),  -- SHA-256 of the file, in hexadecimal
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
