"""``tailwag record | verify | export``: keep every snapshot for ever, prove that none is lost, and take them out again."""

from typing import Annotated

import typer

option = typer.Option

RECORD_EXAMPLES = """
[bold]Examples[/bold]

  tailwag record demo --store market --count 3

  tailwag record deribit:BTC okx:BTC --store market --every 300

  tailwag record deribit-ws:BTC+binance-ws:BTC --store market --every 5

  tailwag record replay:captures --store market --speed 60

  tailwag record replay:captures --store rehearsal --clock market --faults outage.toml

SOURCE is 'demo', 'replay:FOLDER' (a folder's snapshots in the order of their times, or another store's), VENUE:CURRENCY (deribit, okx, bybit,
binance: asked anew each turn), deribit-ws:CURRENCY or binance-ws:CURRENCY (a stream; Binance's has no options), WORD+WORD (several live
sources as one), a file or a folder. A snapshot counts as recorded only when it is on disk; stop the recorder as you like, it goes on where it was.
"""
VERIFY_EXAMPLES = """
[bold]Examples[/bold]

  tailwag verify market

  tailwag verify market --json -

Reads every byte of the store, also while a recorder writes to it. Exit status 1 if anything is damaged: the numbers that are lost, and why.
"""
EXPORT_EXAMPLES = """
[bold]Examples[/bold]

  tailwag export market --out chains.parquet

  tailwag export market --out files --as snapshots --from 2026-02-05T00:00:00Z --to 2026-02-06T00:00:00Z

  tailwag export market --out trades.parquet --as trades

A table has a row for each option of each snapshot, trades a row for each option trade. Snapshot files are byte for byte what was recorded, and tailwag measure reads them.
"""


def record_command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="demo, replay:FOLDER, VENUE:CURRENCY, deribit-ws:CURRENCY, binance-ws:CURRENCY, WORD+WORD, a file or a folder.",
        ),
    ],
    store: Annotated[str, option("--store", metavar="DIR", help="Folder of the store; made if it is not there.")],
    every: Annotated[
        float | None,
        option(
            "--every",
            metavar="SECONDS",
            help="Time from one turn to the next.  \\[default: demo 1, live 60, stream 5, WORD+WORD 1, replay at its own pace]",
        ),
    ] = None,
    count: Annotated[int | None, option("--count", min=1, metavar="N", help="Stop after N snapshots.")] = None,
    speed: Annotated[
        float | None, option("--speed", metavar="FACTOR", help="Pace of a replay: 1 as it happened.  \\[default: as fast as it is read]")
    ] = None,
    clock: Annotated[
        str, option("--clock", metavar="CLOCK", help="wall, or market: a replay's records are received at the data's own times.")
    ] = "wall",
    faults: Annotated[
        str | None, option("--faults", metavar="FILE", help="TOML: what shall go wrong in a replay (a rehearsal, marked SYNTHETIC).")
    ] = None,
    currency: Annotated[str, option("--currency", help="What to take from the demo, files and folders.")] = "BTC",
    ack_fd: Annotated[
        int | None, option("--ack-fd", min=0, metavar="N", help="Write a JSON line to this descriptor for each snapshot that is on disk.")
    ] = None,
    segment_mib: Annotated[float, option("--segment-mib", help="Begin a new segment file beyond this size.")] = 64.0,
    compact: Annotated[bool, option("--compact", help="Compact each segment once it is closed, between two turns.")] = False,
) -> None:
    """Record snapshots so that none that was acknowledged is ever lost."""
    from tailwag.cli.recording import RecordRequest, run_record

    run_record(RecordRequest(**{name: value for name, value in locals().items() if name in RecordRequest.__slots__}))


def verify_command(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store of tailwag record.")],
    json_file: Annotated[
        str | None, option("--json", metavar="FILE", help="Write the findings as strict JSON ('-' = stdout, alone).")
    ] = None,
) -> None:
    """Is every snapshot that was acknowledged still there, bit for bit?"""
    from tailwag.cli.recording import run_verify

    run_verify(store, json_file)


def export_command(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store of tailwag record.")],
    out: Annotated[str, option("--out", metavar="PATH", help="File of the table, or folder of the snapshot files.")],
    form: Annotated[str, option("--as", metavar="FORM", help="table, snapshots or trades.")] = "table",
    start: Annotated[str | None, option("--from", metavar="TIME", help="First market time, with offset.  \\[default: the first]")] = None,
    end: Annotated[str | None, option("--to", metavar="TIME", help="Last market time, with offset.  \\[default: the last]")] = None,
) -> None:
    """Take recorded snapshots out of a store: one Parquet table, or snapshot files."""
    from tailwag.cli.recording import ExportRequest, run_export

    run_export(ExportRequest(store, out, form, start, end))


def register(app: typer.Typer) -> None:
    """Add ``record``, ``verify``, ``export``, ``query`` and ``compact`` to a typer application."""
    from tailwag.cli import query

    app.command("record", epilog=RECORD_EXAMPLES)(record_command)
    app.command("verify", epilog=VERIFY_EXAMPLES)(verify_command)
    app.command("export", epilog=EXPORT_EXAMPLES)(export_command)
    query.register(app)
