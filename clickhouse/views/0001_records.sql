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
    arid, ar_submission_time,
    -- fields 46 to 74 of UGE, and what OCS calls by the same name
    arrayMap(word -> if(word IN ('NONE', 'UNKNOWN', '(null)', 'none'), '', word), accounting.later) AS later_fields,
    later_fields[1] AS job_class, later_fields[2] AS qdel_info,
    toFloat64OrNull(later_fields[3]) AS maxrss, toFloat64OrNull(later_fields[4]) AS maxpss,  -- bytes
    later_fields[5] AS submit_host, later_fields[6] AS cwd, later_fields[7] AS submit_cmd,
    toFloat64OrNull(later_fields[8]) AS wallclock,                                           -- s
    toFloat64OrNull(later_fields[9]) AS ioops,
    later_fields[10] AS bound_cores, later_fields[11] AS resource_map, later_fields[12] AS devices, later_fields[13] AS gpus,
    later_fields[14] AS gpu_usage, later_fields[20] AS hold_jid, later_fields[28] AS granted_req,
    later_fields[29] AS exec_host_list,
    submission_us, start_us, end_us,  -- µs after submission_time, start_time and end_time
    layout,                           -- number of fields on the line; 0 = a JSON object
    -- what is unusual about the line, in words; the bits are set in parser/record.sql
    arrayMap(bit -> {flag_names}[bit + 1], bitPositionsToArray(accounting.flags)) AS flags
FROM accounting FINAL
