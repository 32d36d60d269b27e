-- How rollups are made (another one makes them anew), the SQL of what `lines` makes of its keys, for questions to rollups, and
-- the statement that made `lines`, of which questions take what they need.
CREATE OR REPLACE VIEW definitions AS
SELECT '{rollups}' AS rollups, CAST({derived_columns}, 'Array(Tuple(String, String))') AS derived,
    {lines_view} AS lines_view
