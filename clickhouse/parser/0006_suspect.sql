CREATE MATERIALIZED VIEW suspect TO suspect_lines AS
SELECT cluster, file_id, generation, offset, maxvmem_cap, line, torn
FROM parsed_lines
WHERE NOT sound
