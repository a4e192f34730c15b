"""Placeholder."""

from __future__ import annotations


class Series:
    """The series."""
