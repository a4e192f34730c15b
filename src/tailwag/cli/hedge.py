"""``tailwag hedge``: hedging policies compared, with everybody's hedging moving the market and without."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag hedge demo

  tailwag hedge measure.json --policies "every-step, grid:60min, band:2e6usd" --hours 24 --html frontier.html

  tailwag hedge scenario.toml --policies every-step --policies whalley-wilmott:1e-6,5bps --market-share 0.25 --json frontier.json

  tailwag hedge my_book.csv --measurement measure.json --optimise band:variance --risk-aversion-per-usd 1e-7

  tailwag hedge my_book.csv --spot-usd 60000 --vol 0.55 --at 2026-03-01T00:00:00Z --depth-usd-per-pct 40e6

Policies: every-step, grid:60min, grid:60min,30min, band:2e6usd, band:5coin:centre, whalley-wilmott:1e-6,5bps, zakamouline:1e-6,5bps,
leland:5bps,60min, predictive, charm-only, none. Every policy runs on the same shocks twice: hedging moves nothing, and everybody's hedging
moves the price. Where a file is written, a run that was stopped goes on from FILE.partial when the same command is given again.
"""


def hedge_command(  # noqa: PLR0913 - one parameter for each option of the command
    book: Annotated[
        str,
        typer.Argument(
            metavar="BOOK", help="A measurement (tailwag measure --json), a scenario file, a CSV of your own positions, or 'demo'."
        ),
    ],
    policies: Annotated[
        list[str] | None,
        option(
            "--policies", help="Policies to compare, by commas; repeatable.  \\[default: every-step, grid:60min and two bands by gamma]"
        ),
    ] = None,
    hours: Annotated[float | None, option("--hours", help="Hours to simulate.  \\[default: the scenario's; 24 else]")] = None,
    step_minutes: Annotated[
        float | None, option("--step-minutes", help="Minutes between clearings.  \\[default: the scenario's; 5 else]")
    ] = None,
    paths: Annotated[int | None, option("--paths", help="Number of price paths.  \\[default: the scenario's; 2000 else]")] = None,
    seed: Annotated[int | None, option("--seed", help="Seed of every random number.  \\[default: the scenario's; 7 else]")] = None,
    threads: Annotated[
        int | None, option("--threads", help="Threads; they change no bit of the result.  \\[default: the cores of this machine]")
    ] = None,
    clearing: Annotated[
        str | None, option("--clearing", help="implicit, damped or lagged.  \\[default: the scenario's; implicit else]")
    ] = None,
    delay_steps: Annotated[
        int | None, option("--delay-steps", help="Steps between seeing a move and trading on it.  \\[default: the book's]")
    ] = None,
    fee_bps: Annotated[
        float | None, option("--fee-bps", help="Fee in basis points of the value traded.  \\[default: the scenario's; 5 else]")
    ] = None,
    half_spread_bps: Annotated[
        float | None, option("--half-spread-bps", help="Half the bid-ask spread in basis points.  \\[default: the scenario's; 1 else]")
    ] = None,
    depth_usd_per_pct: Annotated[
        float | None, option("--depth-usd-per-pct", help="USD that move the price 1 %, in place of the measurement's.")
    ] = None,
    hedge_share: Annotated[
        float | None, option("--hedge-share", help="Share of the market's book that is hedged at all.  \\[default: the book's]")
    ] = None,
    market_share: Annotated[
        float, option("--market-share", help="Share of the market's hedged book that follows the policy; the rest hedges every step.")
    ] = 1.0,
    instrument: Annotated[str, option("--instrument", help="What the hedge is held in: spot, perp or future.")] = "spot",
    margin_share: Annotated[float, option("--margin-share", help="Margin as a share of the hedge's value, 0 to 1.")] = 1.0,
    funding_per_year: Annotated[float, option("--funding-per-year", help="Funding paid by longs, as a decimal a year.")] = 0.0,
    measurement: Annotated[
        str | None, option("--measurement", metavar="FILE", help="For a CSV: the market around it, from tailwag measure --json.")
    ] = None,
    spot_usd: Annotated[float | None, option("--spot-usd", help="For a CSV without a measurement: the price.")] = None,
    vol: Annotated[float | None, option("--vol", help="Vol a year as a decimal: observed, in place of the measurement's.")] = None,
    at: Annotated[str | None, option("--at", help="For a CSV without a measurement: the time, such as 2026-03-01T00:00:00Z.")] = None,
    optimise: Annotated[
        list[str] | None,
        option(
            "--optimise",
            help="Find the best numbers of band, grid, whalley-wilmott, zakamouline or leland; ':variance' or ':mean-es' names the objective; repeatable. Needs scipy.",
        ),
    ] = None,
    risk_aversion_per_usd: Annotated[
        float | None, option("--risk-aversion-per-usd", help="Weight of variance: cost + risk aversion/2 x variance.")
    ] = None,
    json_file: Annotated[
        str | None, option("--json", metavar="FILE", help="Write the comparison as strict JSON ('-' = stdout, alone).")
    ] = None,
    html: Annotated[str | None, option("--html", metavar="FILE", help="Write one self-contained HTML report.")] = None,
    png: Annotated[str | None, option("--png", metavar="FILE", help="Write the picture of the frontier.")] = None,
) -> None:
    """Which hedging rule costs least once everybody's hedging moves the market, what risk does it leave, and what does it add to market vol?"""
    from tailwag.cli.hedging import Request, run_hedge

    run_hedge(Request(**{name: value for name, value in locals().items() if name in Request.__slots__}))


def register(app: typer.Typer) -> None:
    """Add the ``hedge`` command to a typer application."""
    app.command("hedge", epilog=EXAMPLES)(hedge_command)
