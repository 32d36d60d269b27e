-- Every accepted line once, with what it means; questions are asked of this. One line in a job's set has is_attempt, the
-- lines of its tasks do not: slots, times and the attempt itself count once, usage (cpu, mem, io, …) is summed over all.
CREATE OR REPLACE VIEW lines AS
SELECT
    *,
    CAST(pe_taskid = '', 'UInt8') AS is_attempt,
    is_attempt AND start_time > 0 AND exit_status != 4294967295 AS is_executed,
    {day} AS day,
    if(is_attempt AND start_time > 0 AND end_time >= start_time, toUInt64(toUInt32(end_time) - toUInt32(start_time)), NULL) AS wall_seconds,
    if(is_attempt AND start_time >= submission_time AND submission_time > 0,
        toUInt64(toUInt32(start_time) - toUInt32(submission_time)), NULL) AS wait_seconds,
    wall_seconds * slots AS core_seconds,
    -- the accounting holds no allocation rule: what cannot be known is never guessed
    toLowCardinality(multiIf(
        granted_pe = '' OR slots = 1, 'sequential',
        record_id IN (SELECT record_id FROM multi_node_lines), 'multi-node',
        {pe_class} != '', {pe_class},
        {largest_node} > 0 AND slots > {largest_node}, 'multi-node',
        'parallel-unknown')) AS parallel_class,
    toLowCardinality(multiIf(
        exit_status = 4294967295, 'running',
        failed IN (24, 25), 'rescheduled',
        failed IN (37, 44), 'over its limit',
        start_time = 0, 'never started',
        failed = 100 OR exit_status > 128, 'killed',
        failed > 0, 'failed',
        exit_status > 0, 'error',
        'done')) AS outcome
FROM accounting FINAL
