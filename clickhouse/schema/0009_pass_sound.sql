CREATE MATERIALIZED VIEW IF NOT EXISTS pass_sound TO readable_lines AS
SELECT cluster, file_id, offset, maxvmem_cap, line, hole, fields, numbers, 0 AS gaps
FROM split_lines
WHERE sound
