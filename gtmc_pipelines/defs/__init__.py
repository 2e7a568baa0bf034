"""The Dagster face: assets, partitions, jobs, schedules, resources, checks."""
