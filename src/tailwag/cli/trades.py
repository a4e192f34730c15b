"""``tailwag trades backfill``: put trades into a store that nobody recorded, from the venue or from files."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag trades backfill deribit:BTC --store market --from 2026-02-01T00:00:00Z --to 2026-02-06T00:00:00Z

  tailwag trades backfill trades.parquet older.csv --store market

SOURCE is deribit:CURRENCY, which is asked only for what the store does not have, or a file of Deribit's option trades (Parquet, CSV, JSON).
Stop it as you like and run it again: nothing is recorded twice. No recorder may run on the store meanwhile.
"""


def trades_command(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="backfill.")],
    source: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="deribit:CURRENCY, or files of trades.")],
    store: Annotated[str, option("--store", metavar="DIR", help="Folder of the store; made if it is not there.")],
    start: Annotated[str | None, option("--from", metavar="TIME", help="First time, with offset.  \\[files: the first]")] = None,
    end: Annotated[
        str | None, option("--to", metavar="TIME", help="End, with offset, not included.  \\[default: now; files: the last]")
    ] = None,
) -> None:
    """Fill a store with option trades, for signed inventory (--rule flow:DIR)."""
    from tailwag.cli.trading import BackfillRequest, run_trades

    run_trades(action, BackfillRequest(tuple(source), store, start, end))


def register(app: typer.Typer) -> None:
    """Add the ``trades`` command to a typer application."""
    app.command("trades", epilog=EXAMPLES)(trades_command)
