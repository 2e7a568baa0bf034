"""Imitated vendors that speak the real protocols. May import model ids only, so that it can't share our bugs."""
