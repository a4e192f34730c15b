"""``tailwag index``: the daily index of a store, as a table, as JSON, or as CSV."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag index market

  tailwag index market --currency ETH --from 2026-02-01T00:00:00Z --csv index.csv

One loop gain and one ratio of hedged open interest to volume for each day, by fixed rules that anybody can recompute (tailwag.index/1): medians
over 08:30 to 09:30 UTC, beside those of 06:30 to 07:30. A day without a value says why.
"""


def index_command(
    store: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the store.")],
    currency: Annotated[str, option("--currency", help="Whose index.")] = "BTC",
    source: Annotated[
        str | None, option("--source", metavar="NAME", help="Only snapshots of this source.  \\[default: all of the currency]")
    ] = None,
    start: Annotated[str | None, option("--from", metavar="TIME", help="A time of the first day, with its offset.")] = None,
    end: Annotated[str | None, option("--to", metavar="TIME", help="A time of the last day.")] = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Definition and days as JSON; - is stdout.")] = None,
    csv_file: Annotated[str | None, option("--csv", metavar="FILE", help="One line for each day; - is stdout.")] = None,
) -> None:
    """The daily index of a store: loop gain and hedged open interest, one value a day."""
    from tailwag.cli.indexing import IndexRequest, run_index

    run_index(IndexRequest(**{name: value for name, value in locals().items() if name in IndexRequest.__slots__}))


def register(app: typer.Typer) -> None:
    """Add ``index`` to a typer application."""
    app.command("index", epilog=EXAMPLES)(index_command)
