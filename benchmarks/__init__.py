"""Speed as ratios against peers and plain NumPy, in one process and run; nothing here is asserted by a test."""
