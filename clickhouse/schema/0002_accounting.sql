-- Every accepted line, duplicates included until they merge away; people read it through `records` and `jobs`.
-- The key comes from the line alone, so a copy of a line meets the first one wherever it was read.
CREATE TABLE IF NOT EXISTS accounting
(
    cluster             LowCardinality(String),
    file_id             LowCardinality(String),
    generation          UInt32,
    offset              UInt64,
    record_id           FixedString(16) CODEC(NONE),
    time                DateTime('UTC'),  -- end_time, or submission_time where the job never started
    layout              UInt8,                               -- number of fields on the line
    flags               UInt32,                              -- bits, set in 0016, named in the view records
    qname               LowCardinality(String),
    hostname            LowCardinality(String),
    `group`             LowCardinality(String),
    owner               LowCardinality(String),
    job_name            String,
    job_number          UInt32,
    account             LowCardinality(String),
    priority            Int32,
    submission_time     DateTime('UTC'),
    start_time          DateTime('UTC'),
    end_time            DateTime('UTC'),
    failed              UInt32,
    exit_status         UInt32,
    ru_wallclock        Float64,                 -- s
    ru_utime            Float64,                 -- s
    ru_stime            Float64,                 -- s
    ru_maxrss           Float64,                 -- KiB
    ru_other            Array(Float64),          -- ru_ixrss … ru_nivcsw, in the order of accounting(5)
    project             LowCardinality(String),
    department          LowCardinality(String),
    granted_pe          LowCardinality(String),
    slots               UInt32,
    task_number         UInt32,
    cpu                 Float64,                 -- s
    mem                 Float64,                 -- GiB s
    io                  Float64,                 -- GiB
    category            String,
    iow                 Float64,                 -- s
    pe_taskid           LowCardinality(String),
    maxvmem             Float64,                 -- bytes
    arid                UInt32,
    ar_submission_time  DateTime('UTC'),
    INDEX place (file_id, offset) TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(time)
ORDER BY (cluster, time, job_number, record_id)
SETTINGS min_level_for_wide_part = 1, fsync_after_insert = 1, fsync_part_directory = 1
