"""GTM Clarity's connector pipelines: five vendors, one canonical schema, every sync a Temporal workflow."""
