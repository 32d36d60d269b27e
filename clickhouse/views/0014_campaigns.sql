-- One row per array job. `failed` tasks are those whose last attempt did not end with `done`. Stragglers are tasks whose last
-- attempt ran more than twice as long as that of the middle task: what the whole array waits for.
CREATE OR REPLACE VIEW campaigns AS
SELECT
    cluster, job_number, submission_time,
    any(jobs.owner) AS owner, any(jobs.`group`) AS `group`, any(jobs.job_name) AS job_name,
    count() AS tasks,
    sum(jobs.attempts) AS attempts,
    countIf(jobs.started_attempts > 0) AS executed,
    countIf(jobs.outcome != 'done') AS failed,
    minIf(jobs.first_start, jobs.first_start > 0) AS first_start,
    max(jobs.last_end) AS last_end,
    if(minIf(jobs.first_start, jobs.first_start > 0) BETWEEN 1 AND max(jobs.last_end),
        toUInt32(max(jobs.last_end)) - toUInt32(minIf(jobs.first_start, jobs.first_start > 0)), NULL) AS span_seconds,
    quantileExactInclusive(0.5)(jobs.last_wall_seconds) AS median_wall_seconds,
    max(jobs.last_wall_seconds) AS longest_wall_seconds,
    arrayCount(wall -> wall > 2 * median_wall_seconds, groupArray(jobs.last_wall_seconds)) AS stragglers,
    sum(jobs.wall_seconds) AS wall_seconds,
    sum(jobs.core_seconds) AS core_seconds,
    sum(jobs.lost_core_seconds) AS lost_core_seconds
FROM submitted_jobs AS jobs
WHERE task_number > 0
GROUP BY cluster, job_number, submission_time
