"""Mending what earlier versions stored: steps as data, what of them is to be done, and the doing."""
