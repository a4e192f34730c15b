"""Command line: ``tailwag measure | greeks | iv | simulate``; every command prints ``--help`` with examples and refuses bad input in one sentence."""

from __future__ import annotations

import os
import sys
from typing import Any


def build_app() -> Any:
    """The typer application with every command registered; numerical packages are imported by the commands, not here."""
    import typer

    from tailwag.cli import alerts, greeks, hedge, history, index, measure, record, scenario, serve, simulate, study, sweep, trades

    app = typer.Typer(
        name="tailwag",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="Measure the hedging feedback loop of crypto options: dealers' hedging flow over the liquidity that must absorb it.",
        epilog="Start with:  tailwag measure demo",
    )

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)) -> None:
        if version:
            from tailwag import __version__

            typer.echo(f"tailwag {__version__}")
            raise typer.Exit

    measure.register(app)
    greeks.register(app)
    simulate.register(app)
    scenario.register(app)
    hedge.register(app)
    sweep.register(app)
    record.register(app)
    trades.register(app)
    alerts.register(app)
    serve.register(app)
    index.register(app)
    history.register(app)
    study.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 done, 2 the user's input is wrong, 1 anything else, and never a traceback unless TAILWAG_TRACEBACK is set."""
    from tailwag.errors import InputError, TailwagError

    try:
        build_app()(args=arguments)
    except TailwagError as error:
        if os.environ.get("TAILWAG_TRACEBACK"):
            raise
        sys.stderr.write(f"tailwag: {error}\n")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("TAILWAG_TRACEBACK"):
            raise
        sys.stderr.write(
            f"tailwag: internal error ({type(error).__name__}: {error}); set TAILWAG_TRACEBACK=1 to see where, and report it\n"
        )
        sys.exit(1)
