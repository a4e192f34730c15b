"""Floor 2: what was observed. Frozen, columnar, never filtered: masks and reasons stand beside the rows."""
