CREATE MATERIALIZED VIEW reject TO rejected_lines AS
SELECT cluster, file_id, generation, offset, line, reason
FROM examined_lines
WHERE reason != ''
