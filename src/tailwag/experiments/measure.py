"""Measure: from a snapshot and stated assumptions to exposure, flows, loop gain, and the sentences that answer a trader's questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.errors import EmptyChainError, RuleError
from tailwag.experiments.headline import headline
from tailwag.experiments.laws import chosen_laws
from tailwag.experiments.masked import unknown_gain
from tailwag.experiments.options import MeasureOptions, refuse_impossible
from tailwag.positioning import CustomersSellOtm, FlowRule, LongCallsShortPuts, Rule, infer_positions

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.exposure import Profile
    from tailwag.feedback import Gain
    from tailwag.figures.palette import Theme
    from tailwag.liquidity import Impact
    from tailwag.market.snapshot import Snapshot
    from tailwag.positioning import Positions
    from tailwag.surface import ForwardCurve, Surface

__all__ = ["MeasureOptions", "Measurement", "measure"]

FORWARDS = ("market", "index")
OWN_TRADES = "snapshot-trades"
"""Label of the flow rule that the snapshot's own trades make."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One snapshot measured: the nouns behind the document, ``profiles`` one per rule, the first being the headline's."""

    snapshot: Snapshot
    options: MeasureOptions
    surface: Surface
    positions: tuple[Positions, ...]
    profiles: tuple[Profile, ...]
    gain: Gain
    laws: tuple[Impact, ...]
    """The headline's law first, then every other that can or cannot speak."""

    def __str__(self) -> str:
        return " ".join(headline(self.document()))

    def plot(self, *, theme: Theme = "light") -> Figure:
        """Exposure and gain at every spot under the first rule, as an interactive figure; ``gain.plot`` compares rules and laws."""
        return self.gain.plot("spot", theme=theme)

    def to_frame(self) -> polars.DataFrame:
        """One row per rule: its exposures today and its gain."""
        import polars as pl

        frame = pl.concat([profile.totals.to_frame() for profile in self.profiles])
        return frame.with_columns(pl.Series("gain", [rule.value for rule in self.gain.by_rule], dtype=pl.Float64))

    def document(self) -> dict[str, Any]:
        """Plain values of schema ``tailwag.measure/1``: strict JSON may be written from it as it is."""
        from tailwag.experiments.measurement_document import measurement_document

        return measurement_document(self)


def measure(snapshot: Snapshot, options: MeasureOptions, *, say: Callable[[str], None] = lambda text: None) -> Measurement:
    """Measure the hedging feedback loop of one snapshot under stated assumptions.

    ``say`` is told what is being done (progress).  Raises InputError classes for what the user can mend.

    >>> import tailwag as tw
    >>> found = tw.measure(tw.demo(), MeasureOptions(dynamics="sticky-strike", depth_usd_per_pct=40e6, liquidity="given"))
    >>> found.gain.law
    'given'
    """
    from tailwag.exposure import book_profile, priced_book
    from tailwag.feedback import loop_gain
    from tailwag.surface import fit_surface, parse_dynamics

    if len(snapshot.chain) and not bool(snapshot.chain.usable.any()):
        raise EmptyChainError(
            f"{snapshot.source.name}: all {len(snapshot.chain)} {snapshot.currency} rows are masked ({_worst(snapshot)}); see the codes in docs"
        )
    refuse_impossible(options)
    dynamics = parse_dynamics(options.dynamics)
    say("fitting the smile")
    surface = fit_surface(snapshot, forwards=_forwards(snapshot, options), day_count=options.day_count)
    say("repricing the book")
    positions = tuple(infer_positions(snapshot, rule=rule, forward_usd=surface.forward_usd) for rule in _rules(snapshot, options))
    books = [
        priced_book(
            held,
            surface,
            vol=options.vol,
            day_count=options.day_count,
            gamma=options.gamma,  # type: ignore[arg-type]
            spot_usd=snapshot.spot_usd,
        )
        for held in positions
    ]
    profiles = tuple(
        book_profile(
            book,
            dynamics=dynamics,
            numeraire=options.numeraire,  # type: ignore[arg-type]
            spot_range=options.spot_range,
            spot_levels=options.spot_levels,
        )
        for book in books
    )
    headline_law, others = chosen_laws(snapshot, options)
    if profiles[0].book.is_unknown:
        laws = (headline_law, *others)
        return Measurement(snapshot, options, surface, positions, profiles, unknown_gain(profiles, laws, options), laws)
    gain = loop_gain(
        profiles[0],
        headline_law,
        move_pct=options.move_pct,
        hedge_share=options.hedge_share,
        spot_vol_beta=options.spot_vol_beta,
        other_laws=others,
        other_rules=profiles[1:],
    )
    return Measurement(snapshot, options, surface, positions, profiles, gain, (headline_law, *others))


def _forwards(snapshot: Snapshot, options: MeasureOptions) -> ForwardCurve:
    """Each expiry's forward: the market's own, or the index for all (no carry), which is what files without forwards are published with."""
    from tailwag.market.forwards import forward_curve, pricing_curve

    if options.forward not in (None, *FORWARDS):
        raise RuleError(f"forward {options.forward!r} is unknown; use one of {', '.join(FORWARDS)}")
    curve = forward_curve(snapshot.chain, snapshot.futures, day_count=options.day_count)
    return pricing_curve(curve, forward=options.forward)


def _worst(snapshot: Snapshot) -> str:
    from tailwag.market.codes import QUARANTINE

    return ", ".join(share.code for share in snapshot.chain.shares(within=QUARANTINE)[:3])


def _rules(snapshot: Snapshot, options: MeasureOptions) -> tuple[Rule, ...]:
    """The stated rules, else the cited ones, and signed inventory where recorded trades, or the snapshot's own, say anything of its options."""
    if options.rules:
        return options.rules
    cited: tuple[Rule, ...] = (LongCallsShortPuts(), CustomersSellOtm())
    own = FlowRule(snapshot.trades, label=OWN_TRADES) if snapshot.trades is not None and len(snapshot.trades) else None
    for flow in (options.recorded_flow, own):
        if flow is None:
            continue
        try:
            flow.infer(snapshot.chain)
        except RuleError:
            continue
        return (*cited, flow)
    return cited
