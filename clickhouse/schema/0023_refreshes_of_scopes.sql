-- The scopes that a month has rows for, each with the refresh that made them: a new one adds its own, and others keep theirs.
ALTER TABLE rollup_months
    ADD COLUMN IF NOT EXISTS made_scopes Array(Tuple(UInt64, UInt64)),
    DROP COLUMN IF EXISTS scoped,
    DROP COLUMN IF EXISTS scopes
