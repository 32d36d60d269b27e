"""SQL that reads `category`, the options with which a job was submitted, at query time."""

from __future__ import annotations

# Lambdas, for the WITH of the views that need them.
LAMBDAS = r"""
    -- the hard requests for all of the job: no -q or -l behind -soft or, in OCS 9, -scope master
    text -> if(
        position(text, '-soft') + position(text, '-scope') = 0,
        text,
        replaceRegexpAll(
            text,
            concat('(?:^|\\s)(?:-scope\\s+(?:master|slave)(?:\\s+-(?:hard|soft))?|-soft)',
                '(?:\\s+-[ql]\\s+\\S+)*'),
            ' ')) AS hard,
    -- what -l asks of a resource, the last of several values; '' where it is not asked for
    (text, resource) -> extractAll(
        hard(text), concat('(?:^|\\s)-l\\s+(?:\\S*,)?', resource, '=([^,\\s]*)'))[-1] AS requested,
    -- seconds or bytes of 600, 2G, 1.5g, 24:00:00 or 10:00; NULL of INFINITY and what is neither
    word -> accurateCastOrNull(floor(multiIf(
        NOT match(word, '^[0-9:.]*[0-9][0-9:.]*[kKmMgGtT]?$') OR countSubstrings(word, ':') > 2,
            NULL,
        position(word, ':') = 0,
            toFloat64OrNull(replaceRegexpOne(word, '[a-zA-Z]$', ''))
                * pow(if(match(word, '[a-z]$'), 1000, 1024),
                    positionCaseInsensitive('kmgt', right(word, 1))),
        -- a zero may be left out: 1::30
        arraySum(
            (part, unit) -> if(part = '', 0, ifNull(toFloat64OrNull(part), nan)) * unit,
            arrayResize(arrayReverse(splitByChar(':', word)), 3, ''),
            [1, 60, 3600]))), 'UInt64') AS amount"""
