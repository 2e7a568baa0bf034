"""Office 365: admin consent, Microsoft Graph mail metadata by delta, and what may be kept of it."""
