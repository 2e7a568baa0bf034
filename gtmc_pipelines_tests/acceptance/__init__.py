"""One acceptance suite for every connector: a new one is listed in subjects.py and described in a file of its own."""
