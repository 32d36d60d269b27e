-- The lines of a block with their fields, on their way from `landing`. Nothing is stored here.
-- `numbers` holds the fields that must be numbers, NaN where one is not:
--   1 job_number, 2 priority, 3-5 submission, start and end time, 6 failed, 7 exit_status, 8-10 ru_wallclock, ru_utime
--   and ru_stime, 11 ru_maxrss, 12-25 ru_ixrss … ru_nivcsw, 26 slots, 27 task_number, 28-30 cpu, mem and io, 31 iow,
--   32 maxvmem, 33 arid, 34 ar_submission_time.
CREATE TABLE IF NOT EXISTS split_lines
(
    cluster     LowCardinality(String),
    file_id     LowCardinality(String),
    offset      UInt64,
    maxvmem_cap Float64,
    line        String,         -- without its line end and without the NULs of a hole before it
    hole        Bool,           -- NULs stood before it
    torn        Bool,           -- the block ended before the line did
    fields      Array(String),
    numbers     Array(Float64),
    sound       Bool            -- every number is there and as it should be: nothing to examine
)
ENGINE = Null
