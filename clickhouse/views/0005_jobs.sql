-- One row per attempt of a job; usage includes that of its tasks. A job can have several attempts (retries).
CREATE OR REPLACE VIEW jobs AS
SELECT
    lines.* EXCEPT (pe_taskid, time, is_attempt, is_executed, cpu, mem, io, iow, ru_utime, ru_stime, ru_other, flags),
    start_time > 0 AS started,
    lines.cpu + tasks.cpu AS cpu,
    lines.mem + tasks.mem AS mem,
    lines.io + tasks.io AS io,
    lines.iow + tasks.iow AS iow,
    lines.ru_utime + tasks.ru_utime AS ru_utime,
    lines.ru_stime + tasks.ru_stime AS ru_stime,
    tasks.tasks AS tasks
FROM lines
LEFT ANY JOIN
(
    SELECT
        cluster, job_number, task_number, attempt_start, count() AS tasks, sum(cpu) AS cpu, sum(mem) AS mem, sum(io) AS io,
        sum(iow) AS iow, sum(ru_utime) AS ru_utime, sum(ru_stime) AS ru_stime
    FROM attempt_lines
    WHERE pe_taskid != '' AND attempt_start > 0
    GROUP BY cluster, job_number, task_number, attempt_start
) AS tasks
ON lines.cluster = tasks.cluster AND lines.job_number = tasks.job_number AND lines.task_number = tasks.task_number
    AND toUInt32(lines.start_time) = tasks.attempt_start
WHERE is_attempt
