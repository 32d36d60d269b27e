CREATE MATERIALIZED VIEW IF NOT EXISTS accept TO accounting AS
WITH
    word -> if(word IN ('NONE', 'UNKNOWN', '(null)'), '', word) AS present,
    -- seconds, milliseconds or microseconds, told by magnitude for each value
    t -> toUInt32(multiIf(t < 1e11, t, t < 1e14, trunc(t / 1e3), trunc(t / 1e6))) AS seconds,
    seconds(numbers[3]) AS submission_seconds,
    seconds(numbers[4]) AS start_seconds,
    seconds(numbers[5]) AS end_seconds
SELECT
    cluster,
    file_id,
    offset,
    if(start_seconds > 0, sipHash128(line), sipHash128(file_id, offset)) AS record_id,
    multiIf(end_seconds > 0, end_seconds, start_seconds > 0, start_seconds, submission_seconds) AS time,
    least(length(fields), 255) AS layout,
    -- the bits of line_flags
    ((start_seconds > 0) != (end_seconds > 0) OR start_seconds > end_seconds)
        + 2 * (start_seconds > 0 AND (submission_seconds = 0 OR submission_seconds > start_seconds))
        + 4 * (submission_seconds > 0 AND submission_seconds < 631152000
            OR greatest(submission_seconds, start_seconds, end_seconds) > toUnixTimestamp(now()) + 86400)
        + 8 * (length(fields) NOT IN (43, 45))
        + 16 * hole
        + 32 * (exit_status = 4294967295)
        + 256 * (numbers[26] = 0)
        + if(numbers[32] > maxvmem_cap, 512, 0)
        + gaps AS flags,
    present(fields[1]) AS qname,
    present(fields[2]) AS hostname,
    present(fields[3]) AS `group`,
    present(fields[4]) AS owner,
    present(fields[5]) AS job_name,
    toUInt32(numbers[1]) AS job_number,
    present(fields[7]) AS account,
    toInt32(numbers[2]) AS priority,
    submission_seconds AS submission_time,
    start_seconds AS start_time,
    end_seconds AS end_time,
    toUInt32(numbers[6]) AS failed,
    toUInt32(toInt64(numbers[7])) AS exit_status,  -- -1 becomes 4294967295, as most layouts write it
    numbers[8] AS ru_wallclock,
    numbers[9] AS ru_utime,
    numbers[10] AS ru_stime,
    numbers[11] AS ru_maxrss,
    arraySlice(numbers, 12, 14) AS ru_other,
    present(fields[32]) AS project,
    present(fields[33]) AS department,
    present(fields[34]) AS granted_pe,
    toUInt32(numbers[26]) AS slots,
    toUInt32(numbers[27]) AS task_number,
    numbers[28] AS cpu,
    numbers[29] AS mem,
    numbers[30] AS io,
    present(fields[40]) AS category,
    numbers[31] AS iow,
    present(fields[42]) AS pe_taskid,
    numbers[32] AS maxvmem,
    toUInt32(numbers[33]) AS arid,
    seconds(numbers[34]) AS ar_submission_time
FROM readable_lines
