-- What layouts after 45 fields have, and the part of a second that their times have. Sparse columns cost nothing where
-- no line has a value.
ALTER TABLE accounting
    ADD COLUMN IF NOT EXISTS submission_us UInt32,         -- µs after submission_time
    ADD COLUMN IF NOT EXISTS start_us      UInt32,
    ADD COLUMN IF NOT EXISTS end_us        UInt32,
    ADD COLUMN IF NOT EXISTS later         Array(String)   -- fields 46, 47, … as written; names in views/0001_records.sql
