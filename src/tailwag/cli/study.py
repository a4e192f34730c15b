"""``tailwag study``: what markets did after what was known about hedging, by the plan that was written before."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag study all --panel panel --candles BTCUSDT_15m.csv --html study.html --png study.png --json study.json

  tailwag study reversal --panel panel --candles BTCUSDT_15m.csv

  tailwag study realised-vol --panel panel --candles BTCUSDT_15m.csv.gz --json realised-vol.json

  tailwag study pinning --panel panel --candles BTCUSDT_15m.csv --seed 11

  tailwag study case --panel panel --candles BTCUSDT_15m.csv --from 2026-02-03T00:00:00Z --to 2026-02-09T00:00:00Z --png crash.png

  tailwag study trades trades_BTC_31MAR23_calls.parquet --png signs.png

NAME is reversal (15-minute returns and hourly shocks), realised-vol (the next day and the next hour), expiry (vol around 08:00 UTC) or pinning;
all of them at once also corrects for their number, forecasts days that were not fitted, asks which signs the data tell apart, and looks at a second coin.
case tells some days as they were: price, and what each snapshot said under every rule of the history, as a description that tests nothing.
trades asks of files of signed option trades how often inventory from flow has another sign than the positioning rules say.
DIR is a folder of tailwag history build; FILE holds candles of 15 minutes with the times at which they open. Outcomes, controls, exclusions and error rates
are those of the analysis plan, whose SHA-256 is printed; every estimate stands beside what the data could have seen and beside its placebos.
"""


def study_command(  # noqa: PLR0913 - one parameter for each option of the command
    name: Annotated[str, typer.Argument(metavar="NAME", help="all, reversal, realised-vol, expiry, pinning, case or trades.")],
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="trades: files of Deribit's option trades.")] = None,
    panel: Annotated[str | None, option("--panel", metavar="DIR", help="Folder of tailwag history build.")] = None,
    candles: Annotated[
        str | None, option("--candles", metavar="FILE", help="CSV of 15-minute candles: time at which it opens, close, volume.")
    ] = None,
    currency: Annotated[str, option("--currency", help="Whose snapshots or trades.")] = "BTC",
    start: Annotated[str | None, option("--from", metavar="TIME", help="case: its beginning, with offset.")] = None,
    end: Annotated[str | None, option("--to", metavar="TIME", help="case: its end, with offset.")] = None,
    block_days: Annotated[int, option("--block-days", help="trades: days in a block of the bootstrap.")] = 30,
    seed: Annotated[int, option("--seed", min=0, help="Seed of bootstrap and placebos.")] = 7,
    html: Annotated[str | None, option("--html", metavar="FILE", help="The page, one file that opens anywhere; not of trades.")] = None,
    png: Annotated[str | None, option("--png", metavar="FILE", help="The picture for chat.")] = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write the study as JSON ('-' = stdout, alone).")] = None,
) -> None:
    """Does what was known about dealers' hedging say anything about what followed? Estimates with intervals, power and placebos, nulls included."""
    from tailwag.cli.studying import StudyWords, run_named

    run_named(StudyWords(name, tuple(paths or ()), panel, candles, currency, start, end, block_days, seed, json_file, html, png))


def register(app: typer.Typer) -> None:
    """Add the ``study`` command to a typer application."""
    app.command("study", epilog=EXAMPLES)(study_command)
