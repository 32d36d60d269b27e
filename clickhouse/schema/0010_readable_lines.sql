-- Lines that become records, straight from `parsed_lines` or examined first. Nothing is stored here.
CREATE TABLE IF NOT EXISTS readable_lines
(
    cluster            LowCardinality(String),
    file_id            LowCardinality(String),
    generation         UInt32,
    offset             UInt64,
    maxvmem_cap        Float64,
    hole               Bool,             -- NULs stood before it
    gaps               UInt32,           -- the bits of the missing measures, as in 0016
    line_hash          FixedString(16),
    layout             UInt64,           -- number of fields
    qname              String,
    hostname           String,
    `group`            String,
    owner              String,
    job_name           String,
    job_number         Float64,
    account            String,
    priority           Float64,
    submission_time    Float64,
    start_time         Float64,
    end_time           Float64,
    failed             Float64,
    exit_status        Float64,
    ru_wallclock       Float64,
    ru_utime           Float64,
    ru_stime           Float64,
    ru_maxrss          Float64,
    ru_other           Array(Float64),
    project            String,
    department         String,
    granted_pe         String,
    slots              Float64,
    task_number        Float64,
    cpu                Float64,
    mem                Float64,
    io                 Float64,
    category           String,
    iow                Float64,
    pe_taskid          String,
    maxvmem            Float64,
    arid               Float64,
    ar_submission_time Float64
)
ENGINE = Null
