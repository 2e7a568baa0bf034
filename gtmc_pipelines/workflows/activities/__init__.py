"""Activities of the sync workflow: the only workflow code that does I/O."""
