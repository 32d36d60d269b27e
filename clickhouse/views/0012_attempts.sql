-- The attempts of each job, counted: a row per attempt, to be joined on record_id. They are in the order of their files (by
-- the time of a file's first line) and of their lines there: the order in which the scheduler wrote them, which for
-- attempts that never started no time tells.
CREATE OR REPLACE VIEW attempts AS
WITH (SELECT groupArray(file_id) FROM (SELECT file_id FROM {everywhere}accounting GROUP BY file_id ORDER BY argMin(time, offset))) AS files
SELECT
    record_id, cluster, job_number, task_number, submission_time,
    row_number() OVER (job ORDER BY transform(file_id, files, arrayEnumerate(files), 0), offset) AS attempt,
    count() OVER (job) AS attempts
FROM accounting FINAL
WHERE pe_taskid = ''
WINDOW job AS (PARTITION BY cluster, job_number, task_number, submission_time)
