-- All that must look at a line while it is in the cache, and nothing else. All fields are converted at once, texts
-- included: picking the numbers out first costs more. `sound` is a sum, since AND would evaluate its arguments lazily and
-- copy the arrays for each. A carriage return or a NUL sends its whole row to be examined,
-- a number for a qname its line (so begins a row of the reporting file).
CREATE MATERIALIZED VIEW split TO parsed_lines AS
WITH
    -- a time in s, ms or µs that fits 32 bits as seconds
    t -> (t <= 4294967295) + (t >= 1e11) * (t <= 4294967295999999) > 0 AS fits
SELECT
    cluster,
    file_id,
    generation,
    base + end - length(piece) - 1 AS offset,
    maxvmem_cap,
    0 AS marks,
    ((length(fields) = 45) + has([43, 46, 52, 53, 54, 55, 74], length(fields)) * isNaN(numbers[1]) > 0) + (end <= size) + plain
        + (length(piece) <= 1048576)
        + isFinite(arraySum(arraySlice(numbers, 14, 18)) + cpu + mem + io + iow + maxvmem)
        + (arrayMin(arraySlice(numbers, 9, 23)) >= 0)
        + (least(job_number, slots, task_number, cpu, mem, io, iow, maxvmem, arid, ar_submission_time) >= 0)
        + (greatest(job_number, failed, exit_status, slots, task_number, arid) <= 4294967295)
        + (abs(priority) <= 2147483647)
        + fits(submission_time) + fits(start_time) + fits(end_time) + fits(ar_submission_time)
        + (job_number = trunc(job_number)) + (priority = trunc(priority)) + (submission_time = trunc(submission_time))
        + (start_time = trunc(start_time)) + (end_time = trunc(end_time)) + (failed = trunc(failed))
        + (exit_status = trunc(exit_status)) + (slots = trunc(slots)) + (task_number = trunc(task_number))
        + (arid = trunc(arid)) + (ar_submission_time = trunc(ar_submission_time)) = 24 AS sound,
    if(sound, '', piece) AS line,
    end > size AS torn,
    sipHash128(piece) AS line_hash,
    length(fields) AS layout,
    fields[1] AS qname,
    fields[2] AS hostname,
    fields[3] AS `group`,
    fields[4] AS owner,
    fields[5] AS job_name,
    numbers[6] AS job_number,
    fields[7] AS account,
    numbers[8] AS priority,
    numbers[9] AS submission_time,
    numbers[10] AS start_time,
    numbers[11] AS end_time,
    numbers[12] AS failed,
    numbers[13] AS exit_status,
    numbers[14] AS ru_wallclock,
    numbers[15] AS ru_utime,
    numbers[16] AS ru_stime,
    numbers[17] AS ru_maxrss,
    arraySlice(numbers, 18, 14) AS ru_other,
    fields[32] AS project,
    fields[33] AS department,
    fields[34] AS granted_pe,
    numbers[35] AS slots,
    numbers[36] AS task_number,
    numbers[37] AS cpu,
    numbers[38] AS mem,
    numbers[39] AS io,
    fields[40] AS category,
    numbers[41] AS iow,
    fields[42] AS pe_taskid,
    numbers[43] AS maxvmem,
    numbers[44] AS arid,
    numbers[45] AS ar_submission_time,
    arraySlice(fields, 46) AS later
FROM
(
    SELECT
        cluster,
        file_id,
        generation,
        base,
        maxvmem_cap,
        plain,
        size,
        end,
        piece,
        splitByChar(':', piece) AS fields,
        arrayMap(word -> ifNull(toFloat64OrNull(word), nan), fields) AS numbers
    FROM
    (
        SELECT
            cluster,
            file_id,
            generation,
            offset AS base,
            maxvmem_cap,
            length(block) AS size,
            position(block, '\0') + position(block, '\r') = 0 AS plain,
            splitByChar('\n', block) AS pieces,
            arrayCumSum(piece -> length(piece) + 1, pieces) AS ends
        FROM landing
    )
    ARRAY JOIN pieces AS piece, ends AS end
    WHERE length(piece) > 1 AND NOT startsWith(piece, '#')
)
