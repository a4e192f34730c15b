"""Simulation: the closed loop of price, hedgers and liquidity, path by path."""
