"""Hedging policies: when a dealer trades, how much, and how the order reaches the market."""
