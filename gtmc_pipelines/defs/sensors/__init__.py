"""Sensors: what Dagster looks at every few seconds, one file each."""
