-- One row per attempt of a job; usage includes that of its tasks. A job can have several attempts (retries): see the views
-- attempts and submitted_jobs. NULL where a measure is missing.
CREATE OR REPLACE VIEW jobs AS
WITH {request_lambdas}
SELECT
    lines.* EXCEPT (
        pe_taskid, time, is_attempt, is_executed, slots, cpu, mem, io, iow, ru_wallclock, ru_utime, ru_stime, ru_maxrss,
        maxvmem, ru_other, flags, flag_names, later, listed_hosts, largest_node, metagroup_ids, metagroup_shares),
    start_time > 0 AS started,
    if(bitTest(lines.flags, 8), NULL, lines.slots) AS slots,
    if(bitTest(lines.flags, 10), NULL, lines.cpu + tasks.cpu) AS cpu,
    if(bitTest(lines.flags, 11), NULL, lines.mem + tasks.mem) AS mem,
    if(bitTest(lines.flags, 12), NULL, lines.io + tasks.io) AS io,
    if(bitTest(lines.flags, 13), NULL, lines.iow + tasks.iow) AS iow,
    if(bitTest(lines.flags, 14), NULL, lines.ru_wallclock) AS ru_wallclock,
    if(bitTest(lines.flags, 15), NULL, lines.ru_utime + tasks.ru_utime) AS ru_utime,
    if(bitTest(lines.flags, 16), NULL, lines.ru_stime + tasks.ru_stime) AS ru_stime,
    if(bitTest(lines.flags, 17), NULL, lines.ru_maxrss) AS ru_maxrss,
    if(bitTest(lines.flags, 9), NULL, lines.maxvmem) AS maxvmem,
    tasks.tasks AS tasks,
    -- at least this many: hosts that its lines or the host list name, and that its slots need
    toUInt32(if(parallel_class IN ('sequential', 'single-node'), 1, greatest(
        if(parallel_class = 'multi-node', 2, 1),
        length(arrayDistinct(arrayPushBack(tasks.hosts, toString(lines.hostname)))),
        listed_hosts,
        if(largest_node > 0, toUInt32(ceil(lines.slots / largest_node)), 1)))) AS nodes,
    transform(lines.failed, {failed_numbers}, {failed_meanings}, toString(lines.failed)) AS failure,
    transform(lines.exit_status, {exit_numbers}, {exit_meanings}, toString(lines.exit_status)) AS exit_meaning,
    flag_names AS flags,
    -- what it asked for; the rest is in the view requests
    amount(requested(category, 'h_rt')) AS h_rt,         -- s
    amount(requested(category, 's_rt')) AS s_rt,         -- s
    amount(requested(category, 'h_cpu')) AS h_cpu,       -- s
    amount(requested(category, 'h_vmem')) AS h_vmem,     -- bytes, for each slot
    amount(requested(category, 's_vmem')) AS s_vmem,     -- bytes, for each slot
    amount(requested(category, 'mem_free')) AS mem_free  -- bytes
FROM lines
LEFT ANY JOIN
(
    SELECT
        cluster, job_number, task_number, attempt_start, count() AS tasks, groupUniqArray(toString(hostname)) AS hosts,
        sum(cpu) AS cpu, sum(mem) AS mem, sum(io) AS io, sum(iow) AS iow, sum(ru_utime) AS ru_utime, sum(ru_stime) AS ru_stime
    FROM attempt_lines
    WHERE pe_taskid != '' AND attempt_start > 0
    GROUP BY cluster, job_number, task_number, attempt_start
) AS tasks
ON lines.cluster = tasks.cluster AND lines.job_number = tasks.job_number AND lines.task_number = tasks.task_number
    AND toUInt32(lines.start_time) = tasks.attempt_start
WHERE is_attempt
