-- `kinds` has a letter for each field: w whole, from 0 to 2^32-1; i whole, of 32 bits and either sign; x an exit status;
--   t a time in s, ms or µs; s seconds, missing where nan or inf; m another measure, missing where negative as well;
--   - a text.
CREATE MATERIALIZED VIEW IF NOT EXISTS examine TO examined_lines AS
WITH
    arrayMap(
        (x, word, kind) -> multiIf(
            kind = '-', '',
            isNaN(x) AND (kind NOT IN ('s', 'm') OR NOT match(word, '(?i)^[-+]?nan$')), 'is not a number',
            x < 0 AND kind IN ('w', 't', 's') OR x < -1 AND kind = 'x', 'is negative',
            x != trunc(x) AND kind NOT IN ('s', 'm'), 'is not a whole number',
            abs(x) > 2147483647 AND kind = 'i', 'is out of range',
            x > 4294967295 AND (kind IN ('w', 'x') OR kind = 't' AND (x < 1e11 OR x > 4294967295999999)), 'is out of range',
            ''),
        numbers, arraySlice(fields, 1, 45), kinds) AS faults,
    arrayFirstIndex(fault -> fault != '', faults) AS at,
    ['', '', '', '', '', 'job_number', '', 'priority', 'submission_time', 'start_time', 'end_time', 'failed', 'exit_status',
     'ru_wallclock', 'ru_utime', 'ru_stime', 'ru_maxrss', 'ru_ixrss', 'ru_ismrss', 'ru_idrss', 'ru_isrss', 'ru_minflt',
     'ru_majflt', 'ru_nswap', 'ru_inblock', 'ru_oublock', 'ru_msgsnd', 'ru_msgrcv', 'ru_nsignals', 'ru_nvcsw', 'ru_nivcsw',
     '', '', '', 'slots', 'task_number', 'cpu', 'mem', 'io', '', 'iow', '', 'maxvmem', 'arid', 'ar_submission_time'] AS names
SELECT
    cluster,
    file_id,
    generation,
    offset,
    maxvmem_cap,
    content AS line,
    hole,
    fields,
    arrayMap(word -> ifNull(toFloat64OrNull(word), nan), arraySlice(fields, 1, 45)) AS numbers,
    splitByString('', substring('-----w-itttwxsssmmmmmmmmmmmmmmm---wwsmm-m-mwt', 1, length(numbers))) AS kinds,
    multiIf(
        length(content) > 1048576, concat('longer than 1 MiB: ', toString(length(content)), ' bytes'),
        torn, 'the file ends within this line',
        position(content, '\0') > 0, concat('a NUL byte in the line, at byte ', toString(position(content, '\0'))),
        match(content, '^[0-9]+:[a-z_]+:') AND length(fields) != 45, 'a row of the reporting file, not of accounting',
        length(fields) < 43, concat('has ', toString(length(fields)), ' fields, needs at least 43'),
        at > 0, concat(names[at], ' ', faults[at], ': ', substring(fields[at], 1, 80)),
        '') AS reason
FROM
(
    SELECT
        cluster,
        file_id,
        generation,
        offset,
        maxvmem_cap,
        torn,
        startsWith(suspect_lines.line, '\0') AS hole,
        replaceRegexpAll(suspect_lines.line, '^\\x00+|\\r$', '') AS content,
        splitByChar(':', content) AS fields
    FROM suspect_lines
)
WHERE length(content) > 1 AND NOT startsWith(content, '#')
