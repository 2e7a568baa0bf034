"""The imitated Customer.io: App API of both regions, and the Track host's region probe."""
