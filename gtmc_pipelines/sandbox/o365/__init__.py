"""An imitated Microsoft 365: login, admin consent and Graph over lazily made mailboxes."""
