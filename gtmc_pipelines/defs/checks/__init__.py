"""Asset checks: one for each row of the troubleshooting table and more, each with its remedy."""
