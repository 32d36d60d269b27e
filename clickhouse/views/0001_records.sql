-- Every accepted line once, under accounting(5)'s own names; NULL where a measure is missing.
CREATE OR REPLACE VIEW records AS
SELECT
    cluster, file_id, offset, record_id,
    qname, hostname, `group`, owner, job_name, job_number, account, priority,
    submission_time, start_time, end_time, failed, exit_status,
    if(bitTest(accounting.flags, 14), NULL, ru_wallclock) AS ru_wallclock,
    if(bitTest(accounting.flags, 15), NULL, ru_utime) AS ru_utime,
    if(bitTest(accounting.flags, 16), NULL, ru_stime) AS ru_stime,
    if(bitTest(accounting.flags, 17), NULL, ru_maxrss) AS ru_maxrss,
    ru_other[1] AS ru_ixrss, ru_other[2] AS ru_ismrss, ru_other[3] AS ru_idrss, ru_other[4] AS ru_isrss,
    ru_other[5] AS ru_minflt, ru_other[6] AS ru_majflt, ru_other[7] AS ru_nswap, ru_other[8] AS ru_inblock,
    ru_other[9] AS ru_oublock, ru_other[10] AS ru_msgsnd, ru_other[11] AS ru_msgrcv, ru_other[12] AS ru_nsignals,
    ru_other[13] AS ru_nvcsw, ru_other[14] AS ru_nivcsw,
    project, department, granted_pe,
    if(bitTest(accounting.flags, 8), NULL, slots) AS slots,
    task_number,
    if(bitTest(accounting.flags, 10), NULL, cpu) AS cpu,
    if(bitTest(accounting.flags, 11), NULL, mem) AS mem,
    if(bitTest(accounting.flags, 12), NULL, io) AS io,
    category,
    if(bitTest(accounting.flags, 13), NULL, iow) AS iow,
    pe_taskid,
    if(bitTest(accounting.flags, 9), NULL, maxvmem) AS maxvmem,
    arid, ar_submission_time, layout,
    -- what is unusual about the line, in words; the bits are set in schema/0016_accept.sql
    arrayMap(bit -> ['no wall time', 'no wait time', 'clock', 'unknown layout', 'hole', 'still running', '', '',
        'slots missing', 'maxvmem missing', 'cpu missing', 'mem missing', 'io missing', 'iow missing',
        'ru_wallclock missing', 'ru_utime missing', 'ru_stime missing', 'ru_maxrss missing'][bit + 1],
        bitPositionsToArray(accounting.flags)) AS flags
FROM accounting FINAL
