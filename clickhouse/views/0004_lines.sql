-- Every accepted line once, with what it means; questions are asked of this. One line in a job's set has is_attempt, the
-- lines of its tasks do not: slots, times and the attempt itself count once, usage (cpu, mem, io, …) is summed over all.
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
    if(has_wall, ran / 1e6, NULL) AS wall_seconds,
    if(is_attempt AND start_time > 0 AND submission_time > 0 AND waited >= 0, waited / 1e6, NULL) AS wait_seconds,
    if(has_wall, ran / 1e6 * slots, NULL) AS core_seconds,
    -- hosts of the list that UGE 2022 writes, 0 without one
    if(layout = 74 AND later[29] NOT IN ('NONE', 'UNKNOWN', '(null)', 'none'),
        length(arrayDistinct(extractAll(later[29], '(?:^|[,\\x3b\\s])([^,\\x3b\\s=:(]+)'))), 0) AS listed_hosts,
    toUInt32({largest_node}) AS largest_node,  -- cores of the cluster's, 0 where the settings do not say
    -- the accounting holds no allocation rule: what cannot be known is never guessed
    toLowCardinality(multiIf(
        granted_pe = '' OR slots = 1, 'sequential',
        record_id IN (SELECT record_id FROM multi_node_lines), 'multi-node',
        {pe_class} != '', {pe_class},
        listed_hosts > 1, 'multi-node',
        listed_hosts = 1, 'single-node',
        largest_node > 0 AND slots > largest_node, 'multi-node',
        'parallel-unknown')) AS parallel_class,
    toLowCardinality(multiIf(
        exit_status = 4294967295, 'running',
        failed IN (24, 25), 'rescheduled',
        failed IN (37, 44), 'over its limit',
        start_time = 0, 'never started',
        failed = 100 OR exit_status > 128, 'killed',
        failed > 0, 'failed',
        exit_status > 0, 'error',
        'done')) AS outcome,
    toLowCardinality({sub_cluster}) AS sub_cluster,
    {metagroup_ids} AS metagroup_ids,        -- as in metagroup_numbers, [0] where it is in none
    {metagroup_shares} AS metagroup_shares,  -- what of the line's usage each of these counts
    arrayMap(id -> {metagroup_names}[id], arrayFilter(id -> id > 0, metagroup_ids)) AS metagroups,
    arrayMap(bit -> {flag_names}[bit + 1], bitPositionsToArray(accounting.flags)) AS flag_names
FROM accounting FINAL
