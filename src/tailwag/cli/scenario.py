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

  tailwag scenario run my-vault.toml --html my-vault.html

  TAILWAG_DATA=/data tailwag scenario run february-2026

With --out, DIR holds scenario.toml (tailwag simulate runs it), scenario.json and outcomes.npz, and a run that was stopped goes on.
"""
COMPARE_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario compare cascade-short-gamma --with circuit-breaker --with lower-leverage

  tailwag scenario compare zero-dte --with strike-limit:share=0.1 --html zero.html

  tailwag scenario compare my-vault.toml --with epoch-tranches --with strike-limit --html my-vault.html

Without --with every switch that the scenario knows is compared; of a file, every switch that changes something in it. All of them run on the same seeds, so that differences are exact but for what
the switch itself changes; a switch that does nothing gives 0.
"""
GAIN_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario gain cascade-short-gamma

  tailwag scenario gain short-gamma-weekend --move 1 --png gain.png

  tailwag scenario gain my-scenario.toml --json gain.json

Agent after agent: the flow that it states, the flow that closed forms predict, the flow that a bump of the simulated market measures.
"""
MATRIX_EXAMPLES = """
[bold]Examples[/bold]

  tailwag scenario matrix

  tailwag scenario matrix zero-dte quiet-pin --with batch --with strike-limit:share=0.1 --png what-helps.png

  tailwag scenario matrix --out matrix --markdown what-helps.md

Every mitigation against every scenario, each on the scenario's own seeds: minutes for the whole library. With --out, a run that was stopped goes on.
"""
Name = Annotated[str, argument(metavar="NAME|FILE", help="A scenario of tailwag scenario list, or a scenario file of your own.")]
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


def matrix_command(  # noqa: PLR0913 - one parameter for each option of the command
    names: Annotated[
        list[str] | None, argument(metavar="[NAMES]...", help="Scenarios of tailwag scenario list.  \\[default: all]", show_default=False)
    ] = None,
    switches: Annotated[
        list[str] | None,
        option("--with", metavar="SWITCH", help="NAME or NAME:key=value,key=value; repeatable.  \\[default: every mitigation]"),
    ] = None,
    paths: Paths = None,
    seed: Seed = None,
    out: Out = None,
    threads: Threads = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write the matrix as JSON ('-' = stdout, alone).")] = None,
    markdown: Annotated[str | None, option("--markdown", metavar="FILE", help="Write every table as Markdown.")] = None,
    html: Html = None,
    png: Png = None,
) -> None:
    """Which mitigation helps where, which does nothing, which harms, and whom does it cost what: one table on common seeds."""
    from tailwag.cli.mattering import MatrixWords, run_matrix

    files = (json_file, markdown, html, png)
    run_matrix(MatrixWords(tuple(names or ()), tuple(switches or ()), paths, seed, out, threads, *files))


def gain_command(
    scenario: Annotated[str, argument(metavar="NAME|FILE", help="A scenario of tailwag scenario list, or a scenario file.")],
    move: Annotated[float, option("--move", help="Size of the bump, up and down, in per cent.")] = 0.1,
    noise: Annotated[
        float | None, option("--noise", help="The bumped step's own move, one standard deviation in per cent.  \\[default: one step's vol]")
    ] = None,
    clock: Annotated[
        str, option("--clock", help="still: wait for orders, nothing passes or ages; running: the scenario goes on to its end.")
    ] = "still",
    paths: Annotated[int | None, option("--paths", help="Number of paths.  \\[default: 2,000]")] = None,
    seed: Seed = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write the gain as JSON ('-' = stdout, alone).")] = None,
    png: Png = None,
) -> None:
    """How much does each agent add to the loop gain: stated, predicted, and measured by bumping the market?"""
    from tailwag.cli.gaining import GainRequest, run_gain

    run_gain(GainRequest(scenario, move, noise, clock, paths, seed, json_file, png))


def register(app: typer.Typer) -> None:
    """Add the ``scenario`` commands to a typer application."""
    scenarios = typer.Typer(
        no_args_is_help=True, rich_markup_mode="rich", help="Run a documented scenario, and compare what would have helped."
    )
    scenarios.command("list", epilog=LIST_EXAMPLES)(list_command)
    scenarios.command("run", epilog=RUN_EXAMPLES)(run_command)
    scenarios.command("compare", epilog=COMPARE_EXAMPLES)(compare_command)
    scenarios.command("matrix", epilog=MATRIX_EXAMPLES)(matrix_command)
    scenarios.command("gain", epilog=GAIN_EXAMPLES)(gain_command)
    app.add_typer(scenarios, name="scenario")
