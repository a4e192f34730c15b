"""``tailwag sweep``: a scenario over a grid of settings and seeds, on all cores or a cluster, resumable."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag sweep examples/gain_latency.toml --out phase

  tailwag sweep examples/gain_latency.toml --out phase --value runaway_probability

  tailwag sweep grid.toml --out grid --workers 8 --x price.vol --y impact.permanent_per_usd --where gain=0.5

  tailwag sweep grid.toml --out grid --scheduler tcp://127.0.0.1:8786

GRID.toml names a base scenario, seeds, and in \\[grid] the values of each key that varies. DIR then holds sweep.parquet (a row for each point and
seed), sweep.json, and the picture as phase.html and phase.png. A sweep that was stopped, however, goes on when the same command is given again.
The bytes are the same for any number of workers and for a cluster. A finished sweep is drawn anew without running: change --x, --y or --value.
"""


def sweep_command(
    grid: Annotated[str, typer.Argument(metavar="GRID.toml", help="A sweep file: base scenario, seeds, \\[grid].")],
    out: Annotated[str, option("--out", metavar="DIR", help="Folder of the results; made if it is not there.")],
    workers: Annotated[
        int | None, option("--workers", help="Processes; they change no bit of the result.  \\[default: the cores of this machine]")
    ] = None,
    scheduler: Annotated[
        str | None,
        option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster instead, such as tcp://127.0.0.1:8786. Needs distributed."),
    ] = None,
    x: Annotated[
        str | None, option("--x", metavar="AXIS", help="Axis along the bottom of the picture.  \\[default: gain, or the first]")
    ] = None,
    y: Annotated[str | None, option("--y", metavar="AXIS", help="Axis up the side of the picture.  \\[default: the next]")] = None,
    value: Annotated[
        str,
        option(
            "--value",
            help="What the picture shows: amplification, runaway_probability, realised_vol, fundamental_vol, vol_of_vol, mean_drawdown, or AGENT.pnl_usd and the like.",
        ),
    ] = "amplification",
    where: Annotated[
        list[str] | None,
        option("--where", metavar="AXIS=VALUE", help="Hold another axis at this value in the picture; repeatable.  \\[default: its first]"),
    ] = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write sweep.json here too ('-' = stdout, alone).")] = None,
) -> None:
    """How does the answer change with the gain, the delay, the depth, the vol: where does hedging damp, where does it amplify, where does it run away?"""
    from tailwag.cli.sweeping import Request, run_sweep_command

    run_sweep_command(Request(grid, out, workers, scheduler, x, y, value, tuple(where or ()), json_file))


def register(app: typer.Typer) -> None:
    """Add the ``sweep`` command to a typer application."""
    app.command("sweep", epilog=EXAMPLES)(sweep_command)
