-- The metagroups in the order of the settings; `lines` has their numbers, 0 where a line is in none.
CREATE OR REPLACE VIEW metagroup_numbers AS
SELECT pair.1 AS metagroup, toUInt64(pair.2 - 1) AS number
FROM (SELECT arrayJoin(arrayZip(arrayPushFront({metagroup_names}, '') AS names, arrayEnumerate(names))) AS pair)
