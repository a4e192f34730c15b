"""``tailwag measure``: from a real option chain to its loop gain in one command."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag measure demo --html report.html

  tailwag measure chain.json --rule long-calls-short-puts --liquidity given --depth-usd-per-pct 40e6

  tailwag measure chains.parquet --at 2026-02-05T16:00:00Z --json -

  tailwag measure market --at 2026-02-05T16:00:00Z --rule flow:market

  tailwag measure deribit:BTC --book my_book.csv --add "-500 BTC-27JUN26-70000-C"

  tailwag measure spx.csv --currency SPX --rule long-calls-short-puts --gamma file

SOURCE is a file, a folder, a store of tailwag record, 'demo', or VENUE:CURRENCY for live data (deribit, okx, bybit, binance),
deribit-ws:CURRENCY for what Deribit streams, WORD+WORD for several live ones as one (deribit-ws:BTC+binance-ws:BTC adds Binance's depth).
Who is short and how deep the market is are assumptions: without --rule the cited rules run side by side, and without a depth the
break-even depth is printed instead of a gain.
"""


def measure_command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="File, folder, 'demo', VENUE:CURRENCY, deribit-ws:CURRENCY or WORD+WORD; several are merged."
        ),
    ] = None,
    currency: Annotated[
        str | None,
        option("--currency", help="BTC, ETH, ...; SPX, SPY, IBIT for CBOE files.  \\[default: BTC, or what a live source names]"),
    ] = None,
    rule: Annotated[
        list[str] | None,
        option(
            "--rule",
            help="Who is short; repeat to compare. long-calls-short-puts, short-all, long-all, customers-buy:SHARE, customers-sell-otm, flow:FILE, flow:STORE, positions:FILE, mixture:RULE@0.6+RULE@0.4",
        ),
    ] = None,
    dynamics: Annotated[
        str, option("--dynamics", help="How the smile moves with spot: sticky-strike, sticky-moneyness, ssr:VALUE.")
    ] = "sticky-strike",
    vol: Annotated[str, option("--vol", help="Whose volatility feeds the greeks: venue or surface.")] = "venue",
    gamma: Annotated[str, option("--gamma", help="model, or file for the gamma column of the file (current spot only).")] = "model",
    day_count: Annotated[str, option("--day-count", help="act-365 or busdays-262.")] = "act-365",
    forward: Annotated[
        str | None,
        option("--forward", help="market (venue, else put-call parity) or index (no carry).  \\[default: market; index for CBOE files]"),
    ] = None,
    numeraire: Annotated[str, option("--numeraire", help="usd or coin (premium-adjusted delta; changes delta only).")] = "usd",
    spot_range: Annotated[str | None, option("--spot-range", help="Profile from LOW to HIGH times spot, such as 0.8:1.2.")] = None,
    spot_levels: Annotated[int | None, option("--spot-levels", help="Number of profile levels.")] = None,
    liquidity: Annotated[
        str | None, option("--liquidity", help="book, square-root or given.  \\[default: the best the source holds]")
    ] = None,
    depth_usd_per_pct: Annotated[
        float | None, option("--depth-usd-per-pct", help="One-sided USD that moves the price 1 % (--liquidity given).")
    ] = None,
    daily_volume_usd: Annotated[
        float | None, option("--daily-volume-usd", help="Daily traded USD of the hedging market (square-root law).")
    ] = None,
    daily_vol: Annotated[
        float | None,
        option("--daily-vol", help="Daily volatility as a decimal (square-root law).  \\[default: front ATM vol over sqrt(365)]"),
    ] = None,
    impact_y: Annotated[float, option("--impact-y", help="Prefactor Y of the square-root law.")] = 1.0,
    crossover_usd: Annotated[float | None, option("--crossover-usd", help="Flow below which the square-root law is linear.")] = None,
    permanent_share: Annotated[
        float | None, option("--permanent-share", help="Share of the square-root impact that never reverts (long-run law), 0 to 1.")
    ] = None,
    books: Annotated[str | None, option("--books", help="File with order books (Deribit order books, Binance captures).")] = None,
    move_pct: Annotated[float, option("--move-pct", help="Size of the move whose flow is weighed against the depth.")] = 1.0,
    hedge_share: Annotated[float, option("--hedge-share", help="Share of the book that is delta-hedged, 0 to 1.")] = 1.0,
    spot_vol_beta: Annotated[
        float | None, option("--spot-vol-beta", help="Vol change per log move (decimal), in place of the one that the dynamics imply.")
    ] = None,
    book: Annotated[str | None, option("--book", help="CSV of your own positions: instrument,contracts (signed, long +).")] = None,
    add: Annotated[list[str] | None, option("--add", help='A trade to price, such as "-500 BTC-27JUN26-70000-C"; repeatable.')] = None,
    strike_limit_usd: Annotated[float | None, option("--strike-limit-usd", help="Your own gamma limit per strike (USD per 1 %).")] = None,
    expiry_limit_usd: Annotated[float | None, option("--expiry-limit-usd", help="Your own gamma limit per expiry (USD per 1 %).")] = None,
    at: Annotated[str | None, option("--at", help="Latest snapshot at or before this time, such as 2026-02-05T16:00:00Z.")] = None,
    coins_per_share: Annotated[
        str | None, option("--coins-per-share", help="For IBIT merged into BTC: VALUE@DATE, such as 0.00056@2025-09-25.")
    ] = None,
    draw_correlation: Annotated[
        float,
        option("--draw-correlation", help="How much a mixture's instruments are drawn together, 0 (each alone) to 1 (all at once)."),
    ] = 0.0,
    draws: Annotated[int, option("--draws", min=1, max=10_000, help="Draws for mixture rules.")] = 400,
    seed: Annotated[int, option("--seed", min=0, help="Seed of the draws and of the demo.")] = 7,
    json_file: Annotated[
        str | None, option("--json", metavar="FILE", help="Write the measurement as strict JSON ('-' = stdout, alone).")
    ] = None,
    html: Annotated[str | None, option("--html", metavar="FILE", help="Write one self-contained HTML report.")] = None,
    png: Annotated[str | None, option("--png", metavar="FILE", help="Write a PNG card for chat.")] = None,
) -> None:
    """Is hedging damping or feeding moves here, at which price does that flip, and what must be bought or sold if spot and vol move?"""
    from tailwag.cli.measuring import Request, run_measure

    run_measure(Request(**{name: value for name, value in locals().items() if name in Request.__slots__}))


def register(app: typer.Typer) -> None:
    """Add the ``measure`` command to a typer application."""
    app.command("measure", epilog=EXAMPLES)(measure_command)
