-- What jobs asked for, one row per distinct category: join it on category. NULL, or '' for a text, where it was not asked
-- for, cannot be read or is INFINITY. Hard requests for the whole job, but for soft_resources.
CREATE OR REPLACE VIEW requests AS
WITH
    {request_lambdas},
    (text, option) -> extractAll(text, concat('(?:^|\\s)-', option, '\\s+([^-\\s]\\S*)')) AS values_of,
    text -> arrayFilter(word -> word != '', arrayFlatten(arrayMap(part -> splitByChar(',', part), text))) AS words_of,
    -- a boolean resource may come without its value; of several values for a resource the last one counts
    words -> CAST(
        arrayFilter(
            (pair, nth) -> nth = 1,
            arrayReverse(arrayMap(
                word -> (splitByChar('=', word)[1], if(position(word, '=') > 0, substring(word, position(word, '=') + 1), 'true')),
                words)) AS pairs,
            arrayEnumerateUniq(arrayMap(pair -> pair.1, pairs))),
        'Map(String, String)') AS mapped,
    extractGroups(category, '(?:^|\\s)-pe\\s+(\\S+)(?:\\s+(-?[0-9][0-9,-]*)(?:\\s|$))?') AS pe_words,
    splitByChar(',', pe_words[2]) AS ranges,
    arrayMap(r -> if(startsWith(r, '-'), 1, toUInt32OrZero(splitByChar('-', r)[1])), ranges) AS lowest,
    arrayMap(r -> if(endsWith(r, '-'), 9999999, toUInt32OrZero(splitByChar('-', r)[-1])), ranges) AS highest
SELECT
    category,
    amount(requested(category, 'h_rt')) AS h_rt,          -- s
    amount(requested(category, 's_rt')) AS s_rt,          -- s
    amount(requested(category, 'h_cpu')) AS h_cpu,        -- s
    amount(requested(category, 'h_vmem')) AS h_vmem,      -- bytes, for each slot
    amount(requested(category, 's_vmem')) AS s_vmem,      -- bytes, for each slot
    amount(requested(category, 'mem_free')) AS mem_free,  -- bytes
    mapped(words_of(values_of(hard(category), 'l'))) AS resources,
    mapped(words_of(values_of(arrayStringConcat(extractAll(category, '-soft((?:\\s+-[ql]\\s+\\S+)*)'), ' '), 'l'))) AS soft_resources,
    words_of(values_of(hard(category), 'q')) AS queues,
    pe_words[1] AS pe,
    if(arrayMin(lowest) > 0, arrayMin(lowest), NULL) AS slots_min,
    -- 9999999 is how the scheduler writes a range without an end
    if(arrayMin(highest) > 0 AND arrayMax(highest) < 9999999, arrayMax(highest), NULL) AS slots_max,
    values_of(category, 'P')[1] AS project,
    match(category, '(?i)(?:^|\\s)-R\\s+(?:y|yes|true)(?:\\s|$)') AS reservation,
    values_of(category, 'U')[1] AS userset
FROM (SELECT DISTINCT category FROM accounting WHERE category != '')
