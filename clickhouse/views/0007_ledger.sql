-- What has been loaded, batch by batch; whole seconds, since an old client does not know finer ones.
CREATE OR REPLACE VIEW ledger AS
SELECT * REPLACE (toDateTime(loaded_at, 'UTC') AS loaded_at)
FROM batches FINAL
