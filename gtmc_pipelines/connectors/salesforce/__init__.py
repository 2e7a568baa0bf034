"""Salesforce: OAuth, REST, Bulk API 2.0, streams and default mappings."""
