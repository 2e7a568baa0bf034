"""Temporal: the workflows, their activities, the worker that runs them and the client that starts them."""
