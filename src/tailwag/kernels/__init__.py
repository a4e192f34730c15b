"""Floor 1: numbers and arrays in, arrays out; the only compiled code."""
