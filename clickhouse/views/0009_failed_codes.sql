-- What the field `failed` says, in words; codes that are not here have no known meaning.
CREATE OR REPLACE VIEW failed_codes AS
SELECT toUInt32(pair.1) AS failed, pair.2 AS meaning
FROM (SELECT arrayJoin(arrayZip({failed_numbers}, {failed_meanings})) AS pair)
