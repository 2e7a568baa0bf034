"""Delivr.ai: intent signals and company enrichment, by the platform's own contract or by the vendor's public API."""
