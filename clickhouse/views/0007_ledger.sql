-- What has been loaded, batch by batch.
CREATE OR REPLACE VIEW ledger AS
SELECT *
FROM batches FINAL
