"""Vendor HTTP: one folder per vendor behind one contract. May import model, mapping (defaults) and vault."""
