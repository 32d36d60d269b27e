CREATE MATERIALIZED VIEW reject TO rejected_lines AS
SELECT cluster, file_id, generation, offset, raw AS line, reason
FROM examined_lines
WHERE reason != ''
