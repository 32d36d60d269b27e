-- `kinds` has a letter for each field: w whole, from 0 to 2^32-1; i whole, of 32 bits and either sign; x an exit status;
--   t a time in s, ms or µs; s seconds, missing where nan or inf; m another measure, missing where negative as well;
--   - a text. `fits` has, for each word on the line, a bit for each of these that it could be.
-- A colon within job_name, account or category makes a line one word longer. The layouts are tried from the largest that
--   is shorter than the line: of the words too many, `a` belong to job_name, `s` - `a` to account, the rest to category.
--   The first layout that fits in any way decides; it must fit in exactly one.
-- A step is a subquery of its own where the next uses it several times: planning would repeat it each time.
CREATE MATERIALIZED VIEW examine TO examined_lines AS
WITH
    splitByString('', '-----w-itttwxsssmmmmmmmmmmmmmmm---wwsmm-m-mwt') AS letters,
    arrayMap(letter -> transform(letter, ['w', 'i', 'x', 't', 's', 'm'], [1, 2, 4, 8, 16, 32], 0), letters) AS needs,
    ['qname', 'hostname', 'group', 'owner', 'job_name', 'job_number', 'account', 'priority', 'submission_time', 'start_time',
     'end_time', 'failed', 'exit_status', 'ru_wallclock', 'ru_utime', 'ru_stime', 'ru_maxrss', 'ru_ixrss', 'ru_ismrss',
     'ru_idrss', 'ru_isrss', 'ru_minflt', 'ru_majflt', 'ru_nswap', 'ru_inblock', 'ru_oublock', 'ru_msgsnd', 'ru_msgrcv',
     'ru_nsignals', 'ru_nvcsw', 'ru_nivcsw', 'project', 'department', 'granted_pe', 'slots', 'task_number', 'cpu', 'mem', 'io',
     'category', 'iow', 'pe_taskid', 'maxvmem', 'arid', 'ar_submission_time'] AS names,
    number -> if(number = '', '0', number) AS none,  -- what JSON leaves out is nothing used
    -- of a pe_taskid, none or 1.host; a number in its place is another field
    word -> match(word, '^(|NONE|[^.]+\\..*)$') AND isNull(toFloat64OrNull(word)) AS task,
    (bits, wanted) -> arrayAll((bit, need) -> bitAnd(bit, need) = need, bits, wanted) AS fit,
    arrayFirstIndex(fault -> fault != '', faults) AS at
SELECT
    cluster,
    file_id,
    generation,
    offset,
    maxvmem_cap,
    content AS line,
    raw,
    hole,
    colons,
    multiIf(json, 0, colons, size - excess, size) AS layout,
    fields,
    numbers,
    kinds,
    multiIf(
        length(content) > 1048576, concat('longer than 1 MiB: ', toString(length(content)), ' bytes'),
        torn, 'the file ends within this line',
        position(content, '\0') > 0, concat('a NUL byte in the line, at byte ', toString(position(content, '\0'))),
        json AND NOT isValidJSON(content), 'begins like a JSON object but is none',
        j.type != '' OR NOT json AND match(content, '^[0-9]+:[a-z_]+:') AND size != 45,
        'a row of the reporting file, not of accounting',
        size < 43, concat('has ', toString(size), ' fields, needs at least 43'),
        direct AND excess > 0, concat('has ', toString(size), ' fields, or ', toString(size - excess), ' and ',
            toString(excess), ' of the colons within job_name, account or category'),
        at > 0, concat(
            names[at], ' ', faults[at], ': ', substring(fields[at], 1, 80),
            multiIf(
                json OR excess = 0 AND size <= 45, '',
                excess > 0, concat(' (', toString(length(way)), ' ways to put ', toString(excess),
                    ' of the colons within job_name, account or category fit)'),
                ' (no way to put colons within job_name, account or category fits)')),
        '') AS reason
FROM
(
    SELECT
        *,
        arrayMap(word -> ifNull(toFloat64OrNull(word), nan), arraySlice(fields, 1, 45)) AS numbers,
        arraySlice(letters, 1, length(numbers)) AS kinds,
        arrayMap(
            (x, word, kind) -> multiIf(
                kind = '-', '',
                isNaN(x) AND (kind NOT IN ('s', 'm') OR NOT match(word, '(?i)^[-+]?nan$')), 'is not a number',
                x < 0 AND kind IN ('w', 't', 's') OR x < -1 AND kind = 'x', 'is negative',
                x != trunc(x) AND kind NOT IN ('s', 'm'), 'is not a whole number',
                abs(x) > 2147483647 AND kind = 'i', 'is out of range',
                x > 4294967295 AND (kind IN ('w', 'x') OR kind = 't' AND (x < 1e11 OR x > 4294967295999999)), 'is out of range',
                ''),
            numbers, arraySlice(fields, 1, 45), kinds) AS faults
    FROM
    (
        SELECT
            *,
            if(notEmpty(way), size - way[1].1, 0) AS excess,
            way[1].2 AS a,
            way[1].3 AS s,
            NOT direct AND length(way) = 1 AS colons,
            if(colons,
                arrayConcat(
                    arraySlice(words, 1, 4),
                    [arrayStringConcat(arraySlice(words, 5, 1 + a), ':'), words[6 + a],
                     arrayStringConcat(arraySlice(words, 7 + a, 1 + s - a), ':')],
                    arraySlice(words, 8 + s, 32),
                    [arrayStringConcat(arraySlice(words, 40 + s, 1 + excess - s), ':')],
                    arraySlice(words, 41 + excess)),
                words) AS fields
        FROM
        (
            SELECT
                *,
                size >= 43 AND fit(arraySlice(fits, 1, 45), arraySlice(needs, 1, least(length(fits), 45)))
                    AND (known OR task(words[42])) AS direct,
                arrayFirst(
                    ways -> notEmpty(ways),
                    arrayMap(
                        short -> if(
                            task(words[42 + size - short])
                            AND fit(arraySlice(fits, 41 + size - short, least(short, 45) - 40),
                                arraySlice(needs, 41, least(short, 45) - 40)),
                            arrayFlatten(arrayMap(
                                s -> if(
                                    fit(arraySlice(fits, 8 + s, 32), arraySlice(needs, 8, 32))
                                    AND abs(toFloat64OrZero(words[8 + s])) <= 1024,  -- the range of a priority
                                    arrayMap(a -> (short, a, s), arrayFilter(a -> bitAnd(fits[6 + a], 1) = 1, range(s + 1))),
                                    []),
                                range(size - short + 1))),
                            []),
                        if(json OR size > length(fits) OR direct AND known, [],
                            arrayFilter(short -> short < size, [74, 55, 54, 53, 52, 46, 45, 44, 43])))) AS way
            FROM
            (
                SELECT
                    *,
                    length(words) AS size,
                    has([43, 45, 46, 52, 53, 54, 55, 74], size) AS known,
                    arrayMap(
                        (x, word) -> isFinite(x) * (x = trunc(x)) * (
                                (x BETWEEN 0 AND 4294967295) + 2 * (abs(x) <= 2147483647) + 4 * (x BETWEEN -1 AND 4294967295)
                                + 8 * (x BETWEEN 0 AND 4294967295 OR x BETWEEN 1e11 AND 4294967295999999))
                            + 16 * (x >= 0 OR match(word, '(?i)^[-+]?nan$'))
                            + 32 * (NOT isNaN(x) OR match(word, '(?i)^[-+]?nan$')),
                        arrayMap(word -> ifNull(toFloat64OrNull(word), nan), arraySlice(words, 1, 150)),
                        arraySlice(words, 1, 150)) AS fits
                FROM
                (
                    SELECT
                        *,
                        if(json,
                            [j.qname, j.hostname, j.group, j.owner, j.job_name, j.job_number, j.account, none(j.priority),
                             none(j.submission_time), none(j.start_time), none(j.end_time), none(j.failed), none(j.exit_status),
                             none(r.ru_wallclock), none(r.ru_utime), none(r.ru_stime), none(r.ru_maxrss), none(r.ru_ixrss),
                             none(r.ru_ismrss), none(r.ru_idrss), none(r.ru_isrss), none(r.ru_minflt), none(r.ru_majflt),
                             none(r.ru_nswap), none(r.ru_inblock), none(r.ru_oublock), none(r.ru_msgsnd), none(r.ru_msgrcv),
                             none(r.ru_nsignals), none(r.ru_nvcsw), none(r.ru_nivcsw), j.project, j.department, j.granted_pe,
                             none(j.slots), none(j.task_number), none(u.cpu), none(u.mem), none(u.io), j.category, none(u.iow),
                             j.pe_taskid, none(u.maxvmem), none(j.arid), none(j.ar_submission_time), j.job_class, '', u.maxrss,
                             '', '', j.cwd, j.submit_cmd_line, u.wallclock, u.ioops],
                            splitByChar(':', content)) AS words
                    FROM
                    (
                        SELECT
                            cluster,
                            file_id,
                            generation,
                            offset,
                            maxvmem_cap,
                            torn,
                            suspect_lines.line AS raw,
                            startsWith(raw, '\0') AS hole,
                            replaceRegexpAll(raw, '^\\x00+|\\r$', '') AS content,
                            startsWith(content, '{') AS json,
                            JSONExtract(if(json, content, ''), 'Tuple(
                                qname String, hostname String, group String, owner String, job_name String, job_number String,
                                account String, priority String, submission_time String, start_time String, end_time String,
                                failed String, exit_status String, project String, department String, granted_pe String,
                                slots String, task_number String, category String, pe_taskid String, arid String,
                                ar_submission_time String, job_class String, cwd String, submit_cmd_line String, type String,
                                usage Tuple(
                                    rusage Tuple(
                                        ru_wallclock String, ru_utime String, ru_stime String, ru_maxrss String,
                                        ru_ixrss String, ru_ismrss String, ru_idrss String, ru_isrss String, ru_minflt String,
                                        ru_majflt String, ru_nswap String, ru_inblock String, ru_oublock String,
                                        ru_msgsnd String, ru_msgrcv String, ru_nsignals String, ru_nvcsw String,
                                        ru_nivcsw String),
                                    usage Tuple(cpu String, mem String, io String, iow String, maxvmem String,
                                        maxrss String, wallclock String, ioops String),
                                    eusage Tuple(cpu String, mem String, io String, iow String, maxvmem String,
                                        maxrss String, wallclock String, ioops String)))') AS j,
                            j.usage.rusage AS r,
                            if(j.usage.eusage.cpu != '', j.usage.eusage, j.usage.usage) AS u  -- 9.1 and later, or 9.0
                        FROM suspect_lines
                    )
                )
            )
        )
    )
)
WHERE length(content) > 1 AND NOT startsWith(content, '#')
