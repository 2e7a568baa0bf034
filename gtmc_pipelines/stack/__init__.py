"""Embedded PostgreSQL and Temporal and the supervision of processes. May import settings and model errors."""
