"""Routes that cost a measurement or a read of the store: the past, the history of a number, what if, and the desk's own book."""

from __future__ import annotations

from fastapi import FastAPI


def add_past_routes(app: FastAPI) -> None:
    """Add them."""
