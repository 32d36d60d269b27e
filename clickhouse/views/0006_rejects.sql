-- Every line that could not be read, with its place, its bytes and the reason.
CREATE OR REPLACE VIEW rejects AS
SELECT cluster, file_id, offset, line, reason
FROM rejected_lines FINAL
