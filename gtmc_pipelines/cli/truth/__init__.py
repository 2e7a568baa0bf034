"""Do the canonical tables say what the vendors say? Worked out without a line of our mapping code."""
