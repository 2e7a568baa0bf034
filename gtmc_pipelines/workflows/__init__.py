"""Temporal: the sync workflow, its activities, the worker and the client other rooms use."""
