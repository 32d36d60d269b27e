-- The lines of attempts that ran tasks under `qrsh -inherit`, each with the start of its attempt: of the job's attempts, the
-- last one that had started before the task did. A task without its attempt (still running, or lost) has attempt_start 0.
CREATE OR REPLACE VIEW attempt_lines AS
SELECT
    cluster, job_number, task_number, record_id, hostname, pe_taskid, cpu, mem, io, iow, ru_utime, ru_stime,
    if(start <= latest.2, latest.1, 0) AS attempt_start
FROM
(
    SELECT
        cluster, job_number, task_number, record_id, hostname, pe_taskid, cpu, mem, io, iow, ru_utime, ru_stime,
        toUInt32(start_time) AS start,
        max((if(pe_taskid = '', start, 0), if(pe_taskid = '', toUInt32(end_time), 0)))
            OVER (PARTITION BY cluster, job_number, task_number ORDER BY start) AS latest
    FROM accounting FINAL
    -- by job_number alone, the cheapest set: attempts of other jobs of that number do no harm
    WHERE granted_pe != '' AND job_number IN (SELECT job_number FROM accounting WHERE pe_taskid != '')
)
