-- What becomes a record of `lines`: sound ones (0004) and examined ones (0010) have the same columns.
WITH
    word -> transform(toLowCardinality(word), ['NONE', 'UNKNOWN', '(null)'], ['', '', '']) AS present,
    -- seconds, milliseconds or microseconds, told by magnitude for each value
    t -> if(t < 1e11, t, t / if(t < 1e14, 1e3, 1e6)) AS seconds,
    t -> toUInt32(multiIf(t < 1e11, 0, t < 1e14, t % 1e3 * 1e3, t % 1e6)) AS microseconds,
    seconds(lines.submission_time) AS submission_seconds,
    seconds(lines.start_time) AS start_seconds,
    seconds(lines.end_time) AS end_seconds,
    start_seconds > 0 AND (end_seconds > 0 AND start_seconds > end_seconds OR submission_seconds > start_seconds) AS skewed
SELECT
    cluster,
    file_id,
    generation,
    offset,
    if(start_seconds > 0, line_hash, sipHash128(file_id, offset)) AS record_id,
    toUInt32(multiIf(end_seconds > 0, end_seconds, start_seconds > 0, start_seconds, submission_seconds)) AS time,
    least(lines.layout, 255) AS layout,
    -- bits that the view records names
    ((start_seconds > 0) != (end_seconds > 0) OR start_seconds > end_seconds)
        + 2 * (start_seconds > 0 AND (submission_seconds = 0 OR submission_seconds > start_seconds))
        + 4 * (skewed OR submission_seconds > 0 AND submission_seconds < 631152000
            OR greatest(submission_seconds, start_seconds, end_seconds) > toUnixTimestamp(now()) + 86400)
        + 8 * (NOT has([0, 43, 45, 46, 52, 53, 54, 55, 74], lines.layout))
        + 32 * (lines.exit_status = -1 OR lines.exit_status = 4294967295)
        + 128 * (cpu > 0 AND start_seconds > 0 AND abs(cpu - lines.slots * (end_seconds - start_seconds)) < 1e-5)
        + 256 * (lines.slots = 0)
        + 512 * (lines.maxvmem > maxvmem_cap)
        + 262144 * (start_seconds > 0 AND end_seconds = 0)
        + marks AS flags,
    present(lines.qname) AS qname,
    present(lines.hostname) AS hostname,
    present(lines.`group`) AS `group`,
    present(lines.owner) AS owner,
    present(lines.job_name) AS job_name,
    toUInt32(lines.job_number) AS job_number,
    present(lines.account) AS account,
    toInt32(lines.priority) AS priority,
    toUInt32(submission_seconds) AS submission_time,
    toUInt32(start_seconds) AS start_time,
    toUInt32(end_seconds) AS end_time,
    toUInt32(lines.failed) AS failed,
    toUInt32(toInt64(lines.exit_status)) AS exit_status,  -- -1 becomes 4294967295, as most layouts write it
    ru_wallclock,
    ru_utime,
    ru_stime,
    ru_maxrss,
    ru_other,
    present(lines.project) AS project,
    present(lines.department) AS department,
    present(lines.granted_pe) AS granted_pe,
    toUInt32(lines.slots) AS slots,
    toUInt32(lines.task_number) AS task_number,
    cpu,
    mem,
    io,
    -- UGE writes the byte FF for a colon
    if(lines.layout > 45, replaceAll(present(lines.category), '\xFF', ':'), present(lines.category)) AS category,
    iow,
    present(lines.pe_taskid) AS pe_taskid,
    maxvmem,
    toUInt32(lines.arid) AS arid,
    toUInt32(seconds(lines.ar_submission_time)) AS ar_submission_time,
    microseconds(lines.submission_time) AS submission_us,
    microseconds(lines.start_time) AS start_us,
    microseconds(lines.end_time) AS end_us,
    arrayMap(word -> replaceAll(word, '\xFF', ':'), lines.later) AS later
