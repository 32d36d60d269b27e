-- Examined lines become records.
CREATE MATERIALIZED VIEW accept_examined TO accounting AS
{record}
FROM
(
    WITH
        arrayMap((x, kind) -> if(isFinite(x) AND (x >= 0 OR kind IN ('i', 'x')), x, 0), numbers, kinds) AS present
    SELECT
        cluster,
        file_id,
        generation,
        offset,
        maxvmem_cap,
        16 * hole + 64 * colons + arraySum(
            (place, bit) -> if(isFinite(numbers[place]) AND numbers[place] >= 0, 0, bit),
            [43, 37, 38, 39, 41, 14, 15, 16, 17],
            [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072]) AS marks,
        sipHash128(line) AS line_hash,
        layout,
        fields[1] AS qname,
        fields[2] AS hostname,
        fields[3] AS `group`,
        fields[4] AS owner,
        fields[5] AS job_name,
        present[6] AS job_number,
        fields[7] AS account,
        present[8] AS priority,
        present[9] AS submission_time,
        present[10] AS start_time,
        present[11] AS end_time,
        present[12] AS failed,
        present[13] AS exit_status,
        present[14] AS ru_wallclock,
        present[15] AS ru_utime,
        present[16] AS ru_stime,
        present[17] AS ru_maxrss,
        arraySlice(present, 18, 14) AS ru_other,
        fields[32] AS project,
        fields[33] AS department,
        fields[34] AS granted_pe,
        present[35] AS slots,
        present[36] AS task_number,
        present[37] AS cpu,
        present[38] AS mem,
        present[39] AS io,
        fields[40] AS category,
        present[41] AS iow,
        fields[42] AS pe_taskid,
        present[43] AS maxvmem,
        present[44] AS arid,
        present[45] AS ar_submission_time,
        arraySlice(fields, 46) AS later
    FROM examined_lines
    WHERE reason = ''
) AS lines
