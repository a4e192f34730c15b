"""``tailwag query | compact``: ask a store in SQL, and keep a store that was recorded for long small."""

from typing import Annotated

import typer

option = typer.Option

QUERY_EXAMPLES = """
[bold]Examples[/bold]

  tailwag query market "select as_of, expiry, sum(gross_gex_usd_per_pct) as gex from options group by all order by all"

  tailwag query market "select strike_usd, sum(open_interest_coin) as coin from options where as_of = (select max(as_of) from options) group by all order by 1"

  tailwag query market "select time_bucket(interval '1 hour', as_of) as hour, avg(bid_1_pct_usd), avg(ask_1_pct_usd) from depth group by all order by 1"

One SELECT over the views snapshots, options, futures, depth, trades, liquidations and series; --views lists their columns. Times are UTC. The tables
are made from the segments when they are first asked for (DIR/tables, to be thrown away at will) and brought up to date at every call.
"""
COMPACT_EXAMPLES = """
[bold]Examples[/bold]

  tailwag compact market

  tailwag compact market --json -

Joins closed segments and compresses neighbouring snapshots together: a third of the room. Every record keeps its number, its bytes and its place in
the chain, and is read back before the old file goes. Not while a recorder runs: tailwag record --compact does it there.
"""


def query_command(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store of tailwag record.")],
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One SELECT.")] = None,
    start: Annotated[str | None, option("--from", metavar="TIME", help="Look at no day before this time, with offset.")] = None,
    end: Annotated[str | None, option("--to", metavar="TIME", help="Look at no day after this time, with offset.")] = None,
    rows: Annotated[int, option("--rows", min=1, max=10_000_000, metavar="N", help="Give at most N rows.")] = 100_000,
    seconds: Annotated[float, option("--seconds", min=0.01, max=86_400.0, metavar="S", help="Give up after S seconds.")] = 60.0,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write the rows as strict JSON ('-' = stdout, alone).")] = None,
    csv_file: Annotated[str | None, option("--csv", metavar="FILE", help="Write the rows as CSV ('-' = stdout, alone).")] = None,
    views: Annotated[bool, option("--views", help="List the views and their columns.")] = False,
) -> None:
    """Ask a store in SQL: read-only, and only over the store's own views."""
    from tailwag.cli.querying import QueryRequest, run_query

    run_query(QueryRequest(store, sql, start, end, rows, seconds, json_file, csv_file, views))


def compact_command(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store that nobody records to.")],
    json_file: Annotated[
        str | None, option("--json", metavar="FILE", help="Write what was done as strict JSON ('-' = stdout, alone).")
    ] = None,
) -> None:
    """Make a store smaller without changing a record."""
    from tailwag.cli.querying import run_compact

    run_compact(store, json_file)


def register(app: typer.Typer) -> None:
    """Add ``query`` and ``compact`` to a typer application."""
    app.command("query", epilog=QUERY_EXAMPLES)(query_command)
    app.command("compact", epilog=COMPACT_EXAMPLES)(compact_command)
