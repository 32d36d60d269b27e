-- The flags of a line and their bits in accounting.flags.
CREATE OR REPLACE VIEW flag_numbers AS
SELECT pair.1 AS flag, bitShiftLeft(toUInt32(1), pair.2 - 1) AS bit
FROM (SELECT arrayJoin(arrayZip({flag_names} AS names, arrayEnumerate(names))) AS pair)
