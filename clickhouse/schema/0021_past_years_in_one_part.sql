-- A year that has got no line for an hour is merged into one part, of which each line is read once for nothing (FINAL).
ALTER TABLE accounting
    MODIFY SETTING min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
