-- One row per job as it was submitted (each task of an array is one), however many attempts it took. What it used is in the
-- view jobs; here is the time that its attempts took. Lost is the time of attempts that did not end with `done`.
CREATE OR REPLACE VIEW submitted_jobs AS
WITH
    (SELECT groupArray(file_id) FROM (SELECT file_id FROM {everywhere}accounting GROUP BY file_id ORDER BY argMin(time, offset))) AS files,
    -- in the order of the view attempts
    bitShiftLeft(transform(file_id, files, arrayMap(i -> toUInt64(i), arrayEnumerate(files)), toUInt64(0)), 48) + offset AS place
SELECT
    cluster, job_number, task_number, submission_time,
    any(lines.owner) AS owner, any(lines.`group`) AS `group`, any(lines.job_name) AS job_name,
    count() AS attempts,
    countIf(is_executed) AS started_attempts,
    minIf(start_time, start_time > 0) AS first_start,         -- 1970 where none started, as in start_time
    max(end_time) AS last_end,
    argMax(lines.outcome, place) AS outcome,                  -- of the last attempt
    argMaxIf(lines.wall_seconds, place, is_executed) AS last_wall_seconds,
    ifNull(sum(lines.wall_seconds), 0) AS wall_seconds,       -- of all attempts
    ifNull(sum(lines.core_seconds), 0) AS core_seconds,
    ifNull(sumIf(lines.wall_seconds, lines.outcome != 'done'), 0) AS lost_wall_seconds,
    ifNull(sumIf(lines.core_seconds, lines.outcome != 'done'), 0) AS lost_core_seconds
FROM lines
WHERE is_attempt
GROUP BY cluster, job_number, task_number, submission_time
