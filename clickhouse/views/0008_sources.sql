-- One row per accounting file, told apart by their first line: what has been loaded of it, and where it was last seen.
CREATE OR REPLACE VIEW sources AS
SELECT
    cluster,
    file_id,
    argMax(path, loaded_at) AS path,
    max(end_offset) AS bytes,
    sum(lines) AS lines,
    sum(records) AS records,
    sum(rejects) AS rejects,
    sum(ignored) AS ignored,
    min(loaded_at) AS first_loaded,
    max(loaded_at) AS last_loaded,
    max(generation) AS generation
FROM ledger
WHERE (cluster, file_id, generation) IN (SELECT cluster, file_id, max(generation) FROM ledger GROUP BY cluster, file_id)
GROUP BY cluster, file_id
