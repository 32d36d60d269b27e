-- The lines of a block, taken apart, on their way from `landing`. Nothing is stored here.
-- Numbers are as they were read, NaN where one is not; the columns are the line's own fields, in their order.
CREATE TABLE parsed_lines
(
    cluster            LowCardinality(String),
    file_id            LowCardinality(String),
    generation         UInt32,
    offset             UInt64,
    maxvmem_cap        Float64,
    marks              UInt32,           -- flags, as in record.sql; only examined lines have some here
    sound              Bool,             -- every number is there and as it should be: nothing to examine
    line               String,           -- only where it is not sound, as it was read
    torn               Bool,             -- the block ended before the line did
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
    ar_submission_time Float64,
    later              Array(String)     -- the fields after these 45
)
ENGINE = Null
