CREATE MATERIALIZED VIEW pass_sound TO readable_lines AS
SELECT
    cluster, file_id, generation, offset, maxvmem_cap, 0 AS marks, line_hash, layout, qname, hostname, `group`,
    owner, job_name, job_number, account, priority, submission_time, start_time, end_time, failed, exit_status,
    ru_wallclock, ru_utime, ru_stime, ru_maxrss, ru_other, project, department, granted_pe, slots, task_number, cpu,
    mem, io, category, iow, pe_taskid, maxvmem, arid, ar_submission_time, later
FROM parsed_lines
WHERE sound
