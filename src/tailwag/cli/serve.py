"""``tailwag serve``: recorder, monitor, API and page in one process; nothing numerical is imported before it runs."""

from __future__ import annotations

from typing import Annotated

import typer

option = typer.Option
EXAMPLES = """
[bold]Examples[/bold]

  tailwag serve

  tailwag serve --store market --source deribit:BTC --source okx:BTC --every 60

  tailwag serve --source deribit-ws:BTC+binance-ws:BTC

  tailwag serve --source replay:captures --every 2 --port 9000

Then open http://127.0.0.1:8765 in a browser. Alone it shows a made-up market that moves, recorded into a temporary folder. Beyond this machine
it asks for tokens (TAILWAG_TOKEN_FILE, mode 0600, lines role:token) and for --behind-tls or a certificate, else it does not start.
"""


def serve_command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        list[str] | None,
        option(
            "--source",
            metavar="SOURCE",
            help="demo, replay:FOLDER, VENUE:CURRENCY, deribit-ws:CURRENCY, WORD+WORD (such as deribit-ws:BTC+binance-ws:BTC), a file or a folder; repeat.",
        ),
    ] = None,
    store: Annotated[str | None, option("--store", metavar="DIR", help="Folder of the store; a temporary one if left out.")] = None,
    every: Annotated[
        float | None,
        option(
            "--every",
            metavar="SECONDS",
            help="Time from one turn to the next.  \\[default: demo and replay 1, live 60, stream 5, WORD+WORD 1]",
        ),
    ] = None,
    currency: Annotated[str, option("--currency", help="What to take from the demo, files and folders.")] = "BTC",
    dynamics: Annotated[
        str, option("--dynamics", help="How the smile moves with spot: sticky-strike, sticky-moneyness, ssr:VALUE.")
    ] = "sticky-strike",
    rule: Annotated[list[str] | None, option("--rule", metavar="RULE", help="Who is long what, as in tailwag measure; repeat.")] = None,
    depth_usd_per_pct: Annotated[
        float | None, option("--depth-usd-per-pct", help="One-sided USD that moves the price 1 %; stated in place of books and volume.")
    ] = None,
    book: Annotated[
        str | None, option("--book", metavar="FILE", help="Your own book, CSV (instrument, contracts), priced with every measurement.")
    ] = None,
    alerts: Annotated[
        str | None, option("--alerts", metavar="FILE", help="alerts.toml: rules and channels.  \\[default: every rule, on the page only]")
    ] = None,
    host: Annotated[str, option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("--port", help="Port to listen on; 0 takes a free one.")] = 8765,
    public_host: Annotated[
        list[str] | None, option("--public-host", metavar="NAME", help="A name under which browsers reach it; repeat.")
    ] = None,
    behind_tls: Annotated[bool, option("--behind-tls", help="A proxy in front encrypts; needed beyond this machine.")] = False,
    certificate: Annotated[str | None, option("--certificate", metavar="FILE", help="PEM certificate chain; needs --key.")] = None,
    key: Annotated[str | None, option("--key", metavar="FILE", help="PEM private key of the certificate.")] = None,
    compact: Annotated[bool, option("--compact", help="Compact each segment of the store once it is closed.")] = False,
) -> None:
    """Record, measure, show and serve: one process, one command."""
    from tailwag.cli.serving import ServeRequest, run_serve

    run_serve(ServeRequest(**{name: value for name, value in locals().items() if name in ServeRequest.__slots__}))


def register(app: typer.Typer) -> None:
    """Add ``serve`` to a typer application."""
    app.command("serve", epilog=EXAMPLES)(serve_command)
