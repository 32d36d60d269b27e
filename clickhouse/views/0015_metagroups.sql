-- Who belongs to which metagroup, as the settings say: a row per member and cluster, cluster '' for all of them. `kind` is
-- user or group. Valid on the days from `since` up to, not including, `until`; 1970-01-01 and 2149-06-06 mean no limit.
CREATE OR REPLACE VIEW metagroups AS
SELECT
    entry.1 AS cluster, entry.2 AS metagroup, entry.3 AS kind, entry.4 AS member, entry.5 AS since, entry.6 AS until,
    entry.7 AS share
FROM (SELECT arrayJoin(CAST({metagroup_entries}, 'Array(Tuple(String, String, String, String, Date, Date, Float64))')) AS entry)
