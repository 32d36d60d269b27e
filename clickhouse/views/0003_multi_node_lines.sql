-- The lines of attempts whose lines name more than one host.
CREATE OR REPLACE VIEW multi_node_lines AS
{multi_node_lines}
