-- Sound lines become records.
CREATE MATERIALIZED VIEW accept TO accounting AS
{record}
FROM parsed_lines AS lines
WHERE sound
