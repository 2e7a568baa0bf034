"""Fathom.video: meetings with transcript, participants and summary, read by API key."""
