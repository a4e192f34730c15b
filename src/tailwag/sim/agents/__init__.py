"""Agents of the simulated market: one file, one agent; none imports another."""
