"""``tailwag history``: recorded snapshots into one point-in-time panel of measurements."""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag history build chains --store panel --depth-usd-per-pct 500e6

  tailwag history build chains --store panel --currency BTC --currency ETH --rule long-calls-short-puts --rule short-all --dynamics sticky-strike --dynamics sticky-moneyness --depth-usd-per-pct 500e6

  tailwag history build market --store panel --law square-root --from 2026-02-01T00:00:00Z --to 2026-03-01T00:00:00Z

  tailwag history build chains --store panel --scheduler tcp://127.0.0.1:8786

SOURCE is a file, a folder of files, or a store of tailwag record; a file that holds many snapshots gives each of them. DIR then holds
snapshots.parquet (a row for each snapshot, refused ones with their reason), panel.parquet (a row for each snapshot, rule, law and dynamics) and
history.json. A build that was stopped, however, goes on when the same command is given again; a finished one is extended by more sources.
Nothing in a row is of a later time than its known_ns. The bytes are the same for any number of workers, any order of sources, and a cluster.
"""


def build_command(  # noqa: PLR0913 - one parameter for each option of the command
    source: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files, folders of files, or stores of tailwag record.")],
    store: Annotated[str, option("--store", metavar="DIR", help="Folder of the history; made if it is not there.")],
    currency: Annotated[list[str] | None, option("--currency", help="BTC, ETH, ...; repeatable.  \\[default: BTC]")] = None,
    start: Annotated[str | None, option("--from", metavar="TIME", help="Snapshots from this time on.  \\[default: the first]")] = None,
    end: Annotated[str | None, option("--to", metavar="TIME", help="Snapshots up to this time.  \\[default: the last]")] = None,
    rule: Annotated[
        list[str] | None,
        option(
            "--rule",
            help="Who is short; repeatable. long-calls-short-puts, short-all, long-all, customers-buy:SHARE, customers-sell-otm, mixture:RULE@0.6+RULE@0.4.  \\[default: long-calls-short-puts and customers-sell-otm]",
        ),
    ] = None,
    law: Annotated[
        list[str] | None,
        option(
            "--law", help="Liquidity: book, square-root or given; repeatable.  \\[default: given with a depth, square-root with a volume]"
        ),
    ] = None,
    dynamics: Annotated[
        list[str] | None,
        option(
            "--dynamics",
            help="How the smile moves with spot: sticky-strike, sticky-moneyness, ssr:VALUE; repeatable.  \\[default: sticky-strike]",
        ),
    ] = None,
    vol: Annotated[str, option("--vol", help="Whose volatility feeds the greeks: venue or surface.")] = "venue",
    day_count: Annotated[str, option("--day-count", help="act-365 or busdays-262.")] = "act-365",
    forward: Annotated[
        str | None, option("--forward", help="market or index (no carry).  \\[default: market; index for CBOE files]")
    ] = None,
    depth_usd_per_pct: Annotated[
        float | None, option("--depth-usd-per-pct", help="One-sided USD that moves the price 1 % (--law given).")
    ] = None,
    daily_volume_usd: Annotated[
        float | None, option("--daily-volume-usd", help="Daily traded USD of the hedging market (square-root law).")
    ] = None,
    daily_vol: Annotated[
        float | None, option("--daily-vol", help="Daily volatility as a decimal (square-root law).  \\[default: each snapshot's own]")
    ] = None,
    impact_y: Annotated[float, option("--impact-y", help="Prefactor Y of the square-root law.")] = 1.0,
    crossover_usd: Annotated[float | None, option("--crossover-usd", help="Flow below which the square-root law is linear.")] = None,
    move_pct: Annotated[float, option("--move-pct", help="Size of the move whose flow is weighed against the depth.")] = 1.0,
    hedge_share: Annotated[float, option("--hedge-share", help="Share of the book that is delta-hedged, above 0 and up to 1.")] = 1.0,
    draws: Annotated[int, option("--draws", min=1, max=10_000, help="Draws for mixture rules.")] = 400,
    draw_correlation: Annotated[
        float, option("--draw-correlation", help="How much a mixture's instruments are drawn together, 0 to 1.")
    ] = 0.0,
    seed: Annotated[int, option("--seed", min=0, help="Seed of the draws.")] = 7,
    publication_delay: Annotated[
        float,
        option("--publication-delay", metavar="MINUTES", help="A crawl that states no end counts as known this long after its start."),
    ] = 10.0,
    workers: Annotated[
        int | None, option("--workers", help="Processes; they change no bit of the result.  \\[default: the cores of this machine]")
    ] = None,
    scheduler: Annotated[
        str | None,
        option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster instead, such as tcp://127.0.0.1:8786. Needs distributed."),
    ] = None,
    json_file: Annotated[str | None, option("--json", metavar="FILE", help="Write history.json here too ('-' = stdout, alone).")] = None,
) -> None:
    """Measure every recorded snapshot under several assumptions: one panel of what was known when, for a study of what it was worth."""
    from tailwag.cli.histories import Request, run_build

    run_build(Request(**{name: value for name, value in locals().items() if name in Request.__slots__}))


def register(app: typer.Typer) -> None:
    """Add the ``history`` commands to a typer application."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode="rich", help="Recorded snapshots into one point-in-time panel of measurements."
    )
    group.command("build", epilog=EXAMPLES)(build_command)
    app.add_typer(group, name="history")
