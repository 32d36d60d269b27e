-- Under which build the rollups have rows of a month for single scopes, and for which, by number: made of the month's build.
ALTER TABLE rollup_months
    ADD COLUMN IF NOT EXISTS scoped UInt64,
    ADD COLUMN IF NOT EXISTS scopes Array(UInt64)
