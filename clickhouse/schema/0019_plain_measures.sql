-- Measured times and amounts hardly shrink under LZ4, which sums over millions of lines then wait for.
ALTER TABLE accounting
    MODIFY COLUMN ru_utime Float64 CODEC(NONE),
    MODIFY COLUMN ru_stime Float64 CODEC(NONE),
    MODIFY COLUMN cpu      Float64 CODEC(NONE),
    MODIFY COLUMN mem      Float64 CODEC(NONE),
    MODIFY COLUMN io       Float64 CODEC(NONE)
