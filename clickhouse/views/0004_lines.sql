-- Every accepted line once, with what it means; questions are asked of this. One line in a job's set has is_attempt, the
-- lines of its tasks do not: slots, times and the attempt itself count once, usage (cpu, mem, io, …) is summed over all.
-- Names are text here, with U+FFFD for bytes that are no UTF-8; `records` has them as they are in the file.
CREATE OR REPLACE VIEW lines AS
WITH
    -- whole µs, so that sums are exact where times have whole seconds
    (toUInt32(end_time) - toUInt32(start_time)) * 1000000 + (end_us - start_us) AS ran,
    (toUInt32(start_time) - toUInt32(submission_time)) * 1000000 + (start_us - submission_us) AS waited,
    is_executed AND end_time > 0 AND ran >= 0 AS has_wall
SELECT
    *,
    CAST(pe_taskid = '', 'UInt8') AS is_attempt,
    is_attempt AND start_time > 0 AND exit_status != 4294967295 AS is_executed,
    {day} AS day,
    {hour} AS hour,            -- of `time`, as the day is
    {start_day} AS start_day,  -- 1970 where it never started
    {submission_hour} AS submission_hour,
    {submission_weekday} AS submission_weekday,  -- 1 = Monday
    {academic_year_start} AS academic_year_start,
    if(has_wall, ran / 1e6, NULL) AS wall_seconds,
    if(is_attempt AND start_time > 0 AND submission_time > 0 AND waited >= 0, waited / 1e6, NULL) AS wait_seconds,
    if(has_wall, ran / 1e6 * slots, NULL) AS core_seconds,
    {requested_time} AS requested_time,            -- h_rt, s, NULL where none was asked for
    {requested_memory} AS requested_memory,        -- h_vmem for all slots, bytes
    {requested_time_from} AS requested_time_from,  -- the shortest of its part
    -- hosts of the list that UGE 2022 writes, 0 without one
    if(layout = 74 AND later[29] NOT IN ('NONE', 'UNKNOWN', '(null)', 'none'),
        length(arrayDistinct(extractAll(later[29], '(?:^|[,\\x3b\\s])([^,\\x3b\\s=:(]+)'))), 0) AS listed_hosts,
    {node_spread} AS node_spread,    -- what the lines of a parallel attempt tell: 3, 2 = several nodes, 1 = one, 0 = nothing
    {largest_node} AS largest_node,  -- cores of the cluster's, 0 where the settings do not say
    {parallel_class} AS parallel_class,
    toLowCardinality(multiIf(
        exit_status = 4294967295, 'running',
        failed IN (24, 25), 'rescheduled',
        failed IN (37, 44), 'over its limit',
        start_time = 0, 'never started',
        failed = 100 OR exit_status > 128, 'killed',
        failed > 0, 'failed',
        exit_status > 0, 'error',
        'done')) AS outcome,
    {sub_cluster} AS sub_cluster,
    {metagroup_ids} AS metagroup_ids,        -- as in metagroup_numbers, [0] where it is in none
    {metagroup_shares} AS metagroup_shares,  -- what of the line's usage each of these counts
    {metagroups} AS metagroups,
    {line_flags} AS flag_names
FROM
(
    SELECT * REPLACE (
        toValidUTF8(qname) AS qname, toValidUTF8(hostname) AS hostname, toValidUTF8(`group`) AS `group`,
        toValidUTF8(owner) AS owner, if(isValidUTF8(job_name), job_name, toValidUTF8(job_name)) AS job_name,
        toValidUTF8(account) AS account, toValidUTF8(project) AS project, toValidUTF8(department) AS department,
        toValidUTF8(granted_pe) AS granted_pe)
    FROM accounting FINAL
)
