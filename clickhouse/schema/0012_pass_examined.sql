CREATE MATERIALIZED VIEW IF NOT EXISTS pass_examined TO readable_lines AS
SELECT
    cluster,
    file_id,
    offset,
    maxvmem_cap,
    line,
    hole,
    fields,
    arrayMap((x, kind) -> if(isFinite(x) AND (x >= 0 OR kind IN ('i', 'x')), x, 0), numbers, kinds) AS numbers,
    arraySum(
        (place, bit) -> if(isFinite(examined_lines.numbers[place]) AND examined_lines.numbers[place] >= 0, 0, bit),
        [32, 28, 29, 30, 31, 8, 9, 10, 11],
        [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072]) AS gaps
FROM examined_lines
WHERE reason = ''
