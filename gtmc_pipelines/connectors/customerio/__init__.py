"""Customer.io: people, email events and behavioral events of one workspace, through the App API."""
