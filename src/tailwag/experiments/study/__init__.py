"""The evidence study: a point-in-time panel of measurements, outcomes aligned to it, and inference that says what it could have seen."""
