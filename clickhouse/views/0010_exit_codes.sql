-- What the field `exit_status` says where it is more than the program's own number: signals, and what Grid Engine and
-- shells agree on.
CREATE OR REPLACE VIEW exit_codes AS
SELECT toUInt32(pair.1) AS exit_status, if(pair.1 BETWEEN 129 AND 192, splitByChar(' ', pair.2)[1], '') AS signal, pair.2 AS meaning
FROM (SELECT arrayJoin(arrayZip({exit_numbers}, {exit_meanings})) AS pair)
