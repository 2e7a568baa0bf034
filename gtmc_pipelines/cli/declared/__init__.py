"""Connectors as a YAML file says they should be: read with positions, planned, applied, and written out."""
