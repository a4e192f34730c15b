"""Which laws of liquidity a measurement may use: the one it headlines, and every other with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailwag.errors import RuleError
from tailwag.experiments.options import MeasureOptions

if TYPE_CHECKING:
    from tailwag.liquidity import Impact
    from tailwag.market.snapshot import Snapshot

LAWS = ("book", "square-root", "given")
NO_LAW = "none"
NO_LIQUIDITY = "no liquidity is known: the source has no order book that reaches the move and no traded volume; state a depth"


def chosen_laws(snapshot: Snapshot, options: MeasureOptions) -> tuple[Impact, list[Impact]]:
    """The headline law, and every other one that can or cannot speak, each with its reason."""
    from tailwag.liquidity import UnknownImpact

    laws = {law.name: law for law in _all_laws(snapshot, options)}
    chosen = options.liquidity or _best(laws, options)
    if chosen is None:
        return UnknownImpact(NO_LAW, NO_LIQUIDITY), list(laws.values())
    if chosen not in LAWS:
        raise RuleError(f"liquidity law {chosen!r} is unknown; use one of {', '.join(LAWS)}")
    if chosen == "given" and options.depth_usd_per_pct is None:
        raise RuleError("--liquidity given expects --depth-usd-per-pct, the one-sided USD that moves the price 1 %")
    return laws[chosen], [law for name, law in laws.items() if name != chosen]


def _all_laws(snapshot: Snapshot, options: MeasureOptions) -> list[Impact]:
    from tailwag.liquidity import SquareRootImpact, UnknownImpact, atm_daily_vol, impacts_from_snapshot, lasting_impact

    found = list(
        impacts_from_snapshot(
            snapshot,
            depth_usd_per_pct=options.depth_usd_per_pct,
            y=options.impact_y,
            crossover_usd=options.crossover_usd,
            permanent_share=options.permanent_share,
        )
    )
    if options.daily_volume_usd is None and options.daily_vol is None:
        return found
    try:
        if options.daily_volume_usd is None:
            root: Impact = SquareRootImpact.from_snapshot(
                snapshot, y=options.impact_y, daily_vol=options.daily_vol, crossover_usd=options.crossover_usd
            )
        else:
            vol, basis = (options.daily_vol, "stated by the user") if options.daily_vol is not None else atm_daily_vol(snapshot)
            root = SquareRootImpact(
                options.daily_volume_usd,
                vol,
                y=options.impact_y,
                crossover_usd=options.crossover_usd,
                basis=f"volume stated by the user, daily vol {basis}",
            )
    except RuleError as trouble:
        if options.liquidity == "square-root":
            raise
        root = UnknownImpact("square-root", str(trouble))
    lasting = (
        [lasting_impact(root, permanent_share=options.permanent_share)]
        if options.permanent_share is not None and isinstance(root, SquareRootImpact)
        else [law for law in found if law.name == "long-run"]
    )
    return [*[law for law in found if law.name not in ("square-root", "long-run")], root, *lasting]


def _best(laws: dict[str, Impact], options: MeasureOptions) -> str | None:
    """A stated depth first, then a book that reaches the move, then the square-root law; None where none of them can speak."""
    from tailwag.liquidity import UnknownImpact, doubt_at_move

    if "given" in laws:
        return "given"
    book = laws["book"]
    if not isinstance(book, UnknownImpact) and doubt_at_move(book, options.move_pct) is None:
        return "book"
    return None if isinstance(laws["square-root"], UnknownImpact) else "square-root"
