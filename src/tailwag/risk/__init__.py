"""Risk: what the tail of a hedged book looks like, with and without feedback."""
