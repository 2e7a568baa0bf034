"""Source record to canonical row, pure: no I/O, no clock. May import model only."""
