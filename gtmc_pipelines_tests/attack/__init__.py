"""Randomised attacks on every boundary of the system, each repeatable by its seed, kind and number."""
