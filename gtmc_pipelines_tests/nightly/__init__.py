"""Tests too long for each change: `make nightly` runs them."""
