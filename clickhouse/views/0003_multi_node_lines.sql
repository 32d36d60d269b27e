-- The lines of attempts whose lines name more than one host.
CREATE OR REPLACE VIEW multi_node_lines AS
SELECT arrayJoin(groupArray(record_id)) AS record_id
FROM attempt_lines
GROUP BY cluster, job_number, task_number, attempt_start
HAVING min(hostname) != max(hostname)
