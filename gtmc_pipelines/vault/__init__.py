"""Sealing and opening secrets, and keeping them (and personal data) out of every text. May import model only."""
