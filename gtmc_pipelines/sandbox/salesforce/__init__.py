"""An imitated Salesforce: OAuth, REST query, Bulk API 2.0 and describe over lazily made records."""
