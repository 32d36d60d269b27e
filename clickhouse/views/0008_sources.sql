-- One row per accounting file, told apart by their first line: what has been loaded of it, and where it was last seen.
CREATE OR REPLACE VIEW sources AS
SELECT
    cluster,
    file_id,
    argMax(ledger.path, ledger.loaded_at) AS path,
    max(ledger.end_offset) AS bytes,
    sum(ledger.lines) AS lines,
    sum(ledger.records) AS records,
    sum(ledger.rejects) AS rejects,
    sum(ledger.ignored) AS ignored,
    min(ledger.loaded_at) AS first_loaded,
    max(ledger.loaded_at) AS last_loaded,
    max(ledger.generation) AS generation
FROM ledger
WHERE (ledger.cluster, ledger.file_id, ledger.generation) IN (SELECT cluster, file_id, max(generation) FROM ledger GROUP BY cluster, file_id)
GROUP BY cluster, file_id
