"""The imitated Delivr.ai: the platform's own contract and the vendor's public API behind one host."""
