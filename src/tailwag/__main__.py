"""``python -m tailwag``."""

from tailwag.cli import main

main()
