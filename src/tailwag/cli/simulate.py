"""``tailwag simulate``: close the loop on a scenario, or on a measured book, in one command."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag measure demo --json measure.json

  tailwag simulate measure.json --out run --hours 24

  tailwag simulate run/scenario.toml --out again --threads 2

  tailwag simulate scenario.toml --out week --hours 168 --paths 2000 --seed 11 --html week.html --png week.png

From a measurement, DIR/scenario.toml is written first, with a remark on where each number came from; it reruns to the same bytes. DIR then
holds run.json, and paths.npz where the scenario says paths = true. The same scenario and seed give the same bytes for any number of threads.
"""


def simulate_command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[
        str, typer.Argument(metavar="SCENARIO.toml|MEASURE.json", help="A scenario file, or a measurement of tailwag measure --json.")
    ],
    out: Annotated[str, option("--out", metavar="DIR", help="Folder of the results; made if it is not there.")],
    hours: Annotated[float | None, option("--hours", help="Hours to simulate.  \\[default: the scenario's; 24 from a measurement]")] = None,
    paths: Annotated[
        int | None, option("--paths", help="Number of price paths.  \\[default: the scenario's; 10000 from a measurement]")
    ] = None,
    seed: Annotated[
        int | None, option("--seed", help="Seed of every random number.  \\[default: the scenario's; 7 from a measurement]")
    ] = None,
    threads: Annotated[
        int | None, option("--threads", help="Threads; they change no bit of the result.  \\[default: the cores of this machine]")
    ] = None,
    clearing: Annotated[
        str | None, option("--clearing", help="implicit, damped or lagged.  \\[default: the scenario's; implicit from a measurement]")
    ] = None,
    depth_usd_per_pct: Annotated[
        float | None,
        option("--depth-usd-per-pct", help="USD that move the price 1 %, where the measurement knows none (measurement only)."),
    ] = None,
    vol: Annotated[
        float | None, option("--vol", help="Observed vol a year as a decimal, in place of the measurement's (measurement only).")
    ] = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write run.json here too ('-' = stdout, alone).")] = None,
    html: Annotated[str | None, option("--html", metavar="FILE", help="Write the report: one page that opens offline, about 5 MB.")] = None,
    png: Annotated[str | None, option("--png", metavar="FILE", help="Write a card for chat, 1200 x 675 pixels.")] = None,
) -> None:
    """What does the next day look like with this book, this depth and this hedging: how much vol do hedgers add, where does price pin, when does it run away?"""
    from tailwag.cli.simulating import Request, run_simulate

    run_simulate(Request(**{name: value for name, value in locals().items() if name in Request.__slots__}))


def register(app: typer.Typer) -> None:
    """Add the ``simulate`` command to a typer application."""
    app.command("simulate", epilog=EXAMPLES)(simulate_command)
