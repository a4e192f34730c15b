"""The service: what a desk leaves running; it measures every snapshot, shows it, and says when the regime changes."""
