-- A month that still gets lines has two builds, of its days before `split` and of those from it on, the `recent` ones, which
-- are few and soon made anew; of any other month the first has all days, and the second none.
ALTER TABLE rollup_months
    ADD COLUMN IF NOT EXISTS recent UInt8,
    ADD COLUMN IF NOT EXISTS split  Date,
    MODIFY ORDER BY (month, recent)
