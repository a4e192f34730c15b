"""``tailwag scenario``: a library of documented scenarios, each with its story, and every switch compared on the same seeds."""

from typing import Annotated

import typer

option, argument = typer.Option, typer.Argument

LIST_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario list

  tailwag scenario list --json library.json
"""
RUN_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario run quiet-pin

  tailwag scenario run cascade-short-gamma --out cascade --html cascade.html --png cascade.png

  TAILWAG_DATA=/data tailwag scenario run february-2026

With --out, DIR holds scenario.toml (tailwag simulate runs it), scenario.json and outcomes.npz, and a run that was stopped goes on.
"""
COMPARE_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario compare cascade-short-gamma --with circuit-breaker --with lower-leverage

  tailwag scenario compare zero-dte --with strike-limit:share=0.1 --html zero.html

  tailwag scenario compare short-gamma-weekend --out weekend

Without --with every switch that the scenario knows is compared. All of them run on the same seeds, so that differences are exact but for what
the switch itself changes; a switch that does nothing gives 0.
"""
Name = Annotated[str, argument(metavar="NAME", help="A scenario of tailwag scenario list.")]
Paths = Annotated[int | None, option("--paths", help="Number of price paths.  \\[default: the scenario's]")]
Seed = Annotated[int | None, option("--seed", help="Seed of every random number.  \\[default: the scenario's]")]
Out = Annotated[str | None, option("--out", metavar="DIR", help="Folder of the results; made if it is not there.")]
Threads = Annotated[
    int | None, option("--threads", help="Threads; they change no bit of the result.  \\[default: the cores of this machine]")
]
JsonFile = Annotated[str | None, option("--json", metavar="FILE", help="Write scenario.json here too ('-' = stdout, alone).")]
Html = Annotated[str | None, option("--html", metavar="FILE", help="Write the report: one page that opens offline, about 5 MB.")]
Png = Annotated[str | None, option("--png", metavar="FILE", help="Write a card for chat, 1200 x 675 pixels.")]


def list_command(
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write the list as JSON ('-' = stdout, alone).")] = None,
) -> None:
    """Which scenarios are there, what do they need, and which switches apply?"""
    from tailwag.cli.staging import run_list

    run_list(json_file)


def run_command(
    name: Name,
    paths: Paths = None,
    seed: Seed = None,
    out: Out = None,
    threads: Threads = None,
    json_file: JsonFile = None,
    html: Html = None,
    png: Png = None,
) -> None:
    """What breaks first in this scenario, through which link, how much is liquidated, and who loses?"""
    from tailwag.cli.staging import Request, run_scenario

    run_scenario(Request(name, None, paths, seed, out, threads, json_file, html, png))


def compare_command(
    name: Name,
    switches: Annotated[
        list[str] | None,
        option("--with", metavar="SWITCH", help="NAME or NAME:key=value,key=value; repeatable.  \\[default: all that apply]"),
    ] = None,
    paths: Paths = None,
    seed: Seed = None,
    out: Out = None,
    threads: Threads = None,
    json_file: JsonFile = None,
    html: Html = None,
    png: Png = None,
) -> None:
    """What would have helped, what does nothing or harms, and what does it cost: every switch on the same seeds as the base."""
    from tailwag.cli.staging import Request, run_scenario

    run_scenario(Request(name, tuple(switches or ()), paths, seed, out, threads, json_file, html, png))


def register(app: typer.Typer) -> None:
    """Add the ``scenario`` commands to a typer application."""
    scenarios = typer.Typer(
        no_args_is_help=True, rich_markup_mode="rich", help="Run a documented scenario, and compare what would have helped."
    )
    scenarios.command("list", epilog=LIST_EXAMPLES)(list_command)
    scenarios.command("run", epilog=RUN_EXAMPLES)(run_command)
    scenarios.command("compare", epilog=COMPARE_EXAMPLES)(compare_command)
    app.add_typer(scenarios, name="scenario")
