-- How rollups are made (another one makes them anew), and the SQL of what `lines` makes of its keys, for questions to rollups.
CREATE OR REPLACE VIEW definitions AS
SELECT '{rollups}' AS rollups, CAST({derived_columns}, 'Array(Tuple(String, String))') AS derived
