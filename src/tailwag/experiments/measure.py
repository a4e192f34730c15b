"""Measure: from a snapshot and stated assumptions to exposure, flows, loop gain, and the sentences that answer a trader's questions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import EmptyChainError, RuleError
from tailwag.experiments.document import (
    SCHEMA,
    book_block,
    chain_block,
    exposure_block,
    flows_block,
    levels_block,
    number,
    profile_block,
    source_block,
)
from tailwag.experiments.headline import headline
from tailwag.kernels.arrays import frozen
from tailwag.market.clock import format_time
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

SPOT_MOVES_PCT = (-10.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 10.0)
VOL_MOVES_VOLPT = (-5.0, 0.0, 5.0)
HORIZONS_HOURS = (0.0, 1.0, 24.0)
FORWARDS = ("market", "index")
NO_CARRY_VENUES = frozenset({"cboe"})
"""Files that state a spot and no forward: the published figures for them take no carry (r = q = 0)."""
LEAST_STATED, MOST_STATED = 1e-6, 1e18
"""No volume, vol, prefactor or limit of any market lies outside."""
MOST_BETA = 100.0
LAWS = ("book", "square-root", "given")
NO_LAW = "none"
OWN_TRADES = "snapshot-trades"
"""Label of the flow rule that the snapshot's own trades make."""
NO_LIQUIDITY = "no liquidity is known: the source has no order book that reaches the move and no traded volume; state a depth"


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """Every assumption of one measurement; the document prints them all.

    ``rules`` empty: the cited rules run side by side (and signed inventory where the snapshot holds trades).  ``liquidity`` None: the best
    law the snapshot allows (a stated depth, else books that reach the move, else the square-root law), named in the result.
    """

    dynamics: str
    rules: tuple[Rule, ...] = ()
    vol: str = "venue"
    gamma: str = "model"
    day_count: str = "act-365"
    forward: str | None = None
    numeraire: str = "usd"
    spot_range: tuple[float, float] | None = None
    spot_levels: int | None = None
    liquidity: str | None = None
    depth_usd_per_pct: float | None = None
    daily_volume_usd: float | None = None
    daily_vol: float | None = None
    impact_y: float = 1.0
    crossover_usd: float | None = None
    permanent_share: float | None = None
    move_pct: float = 1.0
    hedge_share: float = 1.0
    spot_vol_beta: float | None = None
    own_book: str | None = None
    trades: tuple[str, ...] = ()
    strike_limit_usd: float | None = None
    expiry_limit_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One snapshot measured: the nouns behind the document, ``profiles`` one per rule, the first being the headline's."""

    snapshot: Snapshot
    options: MeasureOptions
    surface: Surface
    positions: tuple[Positions, ...]
    profiles: tuple[Profile, ...]
    gain: Gain

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
    _refuse_impossible(options)
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
    headline_law, others = _laws(snapshot, options)
    gain = loop_gain(
        profiles[0],
        headline_law,
        move_pct=options.move_pct,
        hedge_share=options.hedge_share,
        spot_vol_beta=options.spot_vol_beta,
        other_laws=others,
        other_rules=profiles[1:],
    )
    return Measurement(snapshot, options, surface, positions, profiles, gain)


def _forwards(snapshot: Snapshot, options: MeasureOptions) -> ForwardCurve:
    """Each expiry's forward: the market's own, or the index for all (no carry), which is what files without forwards are published with."""
    from tailwag.surface import forward_curve

    if options.forward not in (None, *FORWARDS):
        raise RuleError(f"forward {options.forward!r} is unknown; use one of {', '.join(FORWARDS)}")
    curve = forward_curve(snapshot.chain, snapshot.futures, day_count=options.day_count)
    flat = np.isin(curve.venue, list(NO_CARRY_VENUES)) if options.forward is None else np.full(len(curve), options.forward == "index")
    flat &= np.isfinite(curve.index_usd)
    return replace(
        curve,
        forward_usd=frozen(np.where(flat, curve.index_usd, curve.forward_usd)),
        source=frozen(np.where(flat, "index", curve.source), object),
        discount=frozen(np.where(flat, 1.0, curve.discount)),
    )


def _refuse_impossible(options: MeasureOptions) -> None:
    """RuleError for a stated number that no market has: what the user says is used or refused, never passed over."""
    for name in ("daily_volume_usd", "daily_vol", "impact_y", "crossover_usd", "strike_limit_usd", "expiry_limit_usd"):
        value = getattr(options, name)
        if value is not None and not LEAST_STATED <= value <= MOST_STATED:
            raise RuleError(
                f"expected {name} above 0 ({LEAST_STATED:g} to {MOST_STATED:g}), got {value}; leave it out where it is not known"
            )
    beta = options.spot_vol_beta
    if beta is not None and not abs(beta) <= MOST_BETA:
        raise RuleError(
            f"expected a spot_vol_beta between -{MOST_BETA:g} and {MOST_BETA:g}, got {beta}; -0.8: vol rises 0.8 points when spot falls 1 %"
        )


def _worst(snapshot: Snapshot) -> str:
    from tailwag.market.codes import QUARANTINE

    return ", ".join(share.code for share in snapshot.chain.shares(within=QUARANTINE)[:3])


def _rules(snapshot: Snapshot, options: MeasureOptions) -> tuple[Rule, ...]:
    """The stated rules, else the cited ones, and signed inventory where the snapshot's own trades say anything of its options."""
    if options.rules:
        return options.rules
    cited: tuple[Rule, ...] = (LongCallsShortPuts(), CustomersSellOtm())
    if snapshot.trades is None or not len(snapshot.trades):
        return cited
    flow = FlowRule(snapshot.trades, label=OWN_TRADES)
    try:
        flow.infer(snapshot.chain)
    except RuleError:
        return cited
    return (*cited, flow)


def _laws(snapshot: Snapshot, options: MeasureOptions) -> tuple[Impact, list[Impact]]:
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


def measurement_document(measurement: Measurement) -> dict[str, Any]:
    """The document of one measurement, in the order in which people read it."""
    from tailwag.exposure import by_expiry, by_right, by_strike, by_venue, exposure_bands, forward_view, hedge_flows, scenario_grid

    snapshot, profile, gain = measurement.snapshot, measurement.profiles[0], measurement.gain
    groups = {
        "expiry": by_expiry(profile.book, numeraire=profile.numeraire),
        "strike": by_strike(profile.book, numeraire=profile.numeraire),
        "venue": by_venue(profile.book, numeraire=profile.numeraire),
        "right": by_right(profile.book, numeraire=profile.numeraire),
    }
    flow = hedge_flows(profile, **scenario_grid(SPOT_MOVES_PCT, VOL_MOVES_VOLPT, HORIZONS_HOURS))
    degraded = list(snapshot.degraded)
    known = math.isfinite(snapshot.spot_usd)  # an empty reply states none, and has nothing that could flow
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "degraded" if degraded else "ok",
        "degraded": degraded,
        "headline": [],
        "as_of": format_time(snapshot.as_of_ns) if snapshot.as_of_ns else None,
        "currency": snapshot.currency,
        "spot_usd": number(snapshot.spot_usd),
        "source": source_block(snapshot),
        "notes": _notes(measurement),
        "positioning": [
            {"rule": held.rule, "citation": held.citation, "assumption": held.assumption, "notes": list(held.notes)}
            for held in measurement.positions
        ],
        "assumptions": _assumptions(measurement),
        "chain": chain_block(snapshot, profile.book),
        "exposure": exposure_block(profile.totals, groups),
        "profile": profile_block(profile, gain.gain_over_spot),
        "levels": levels_block(profile.levels),
        "flows": flows_block(flow) if known else [],
        "gain": _gain_block(measurement),
        "bands": _bands_block(exposure_bands(profile)) if known else None,
        "forward": []
        if not known
        else [
            {
                "hours": item.hours,
                "at": format_time(item.at_ns),
                "event": item.event,
                "gex_usd_per_pct": number(item.gex_usd_per_pct),
                "gross_gex_usd_per_pct": number(item.gross_gex_usd_per_pct),
                "gain": number(gain.gain_at(item.gex_usd_per_pct)),
                "flip_status": item.flip_status,
                "flips_usd": list(item.flips_usd),
            }
            for item in forward_view(profile).projections
        ],
        "calendar": _calendar(measurement),
        "surface": measurement.surface.document(),
        **_own_blocks(measurement),
        "book": book_block(profile.book),
    }
    document["headline"] = headline(document)
    return document


def _notes(measurement: Measurement) -> list[str]:
    """What a reader must know to compare the numbers: the source's notes, each rule's, and what the options make of them."""
    notes = [*measurement.snapshot.notes, *(f"{held.rule}: {note}" for held in measurement.positions for note in held.notes)]
    if measurement.options.gamma == "file":
        notes.append(
            "gamma of the file's column counts at the current spot only; profile, flips, flows and forward view are repriced by the model"
        )
    return notes


def _assumptions(measurement: Measurement) -> dict[str, Any]:
    options, gain = measurement.options, measurement.gain
    origin = {"given": "given", "book": "books", "square-root": "volume"}
    known = gain.depth_usd_per_pct is not None
    return {
        "rules": [profile.book.rule for profile in measurement.profiles],
        "dynamics": options.dynamics,
        "vol": options.vol,
        "gamma": options.gamma,
        "day_count": options.day_count,
        "forward": sorted({str(source) for source in measurement.surface.forwards.source}),
        "numeraire": options.numeraire,
        "hedge_share": options.hedge_share,
        "move_pct": options.move_pct,
        "spot_vol_beta": options.spot_vol_beta,
        "liquidity": {"law": gain.law, "from": origin.get(gain.law, "none") if known else "none", "source": gain.headline.source},
    }


def _gain_block(measurement: Measurement) -> dict[str, Any]:
    from tailwag.liquidity import BookImpact, SquareRootImpact, hedged_open_interest_usd, liquidity_ratios

    gain, profile = measurement.gain, measurement.profiles[0]
    laws = (gain.impact, *_laws(measurement.snapshot, measurement.options)[1])
    book = next((law for law in laws if isinstance(law, BookImpact)), None)
    root = next((law for law in laws if isinstance(law, SquareRootImpact)), None)
    hedged = hedged_open_interest_usd(
        profile.book.greeks[1], profile.book.open_interest_coin, spot_usd=profile.book.spot_usd, hedge_share=gain.hedge_share
    )
    ratios = liquidity_ratios(hedged, book=book, daily_volume_usd=None if root is None else root.daily_volume_usd, within_pct=gain.move_pct)
    document = gain.document()
    return {
        **document,
        "by_law": [law for law in document["by_law"] if law["law"] != NO_LAW],
        "hedged_open_interest_usd": hedged,
        "hedged_open_interest_to_liquidity": [ratio.document() for ratio in ratios],
    }


def _bands_block(bands: Any) -> dict[str, Any] | None:
    if bands is None:
        return None
    low, middle, high = bands.gex_quantiles_usd_per_pct
    flips = bands.flip_quantiles_usd
    return {
        "draws": len(bands),
        "gex_usd_per_pct": {"p05": low, "p50": middle, "p95": high},
        "nearest_flip_usd": None if flips is None else {"p05": flips[0], "p50": flips[1], "p95": flips[2]},
        "no_flip_share": bands.no_flip_share,
        "short_gamma_share": bands.short_gamma_share,
    }


def _calendar(measurement: Measurement) -> list[dict[str, Any]]:
    from tailwag.exposure import flow_calendar

    return [
        {
            "at": format_time(event.at_ns),
            "until": format_time(event.until_ns),
            "event": event.event,
            "gross_gex_removed_usd_per_pct": number(event.gross_gex_removed_usd_per_pct),
            "gex_removed_usd_per_pct": number(event.gex_removed_usd_per_pct),
            "open_interest_removed_coin": number(event.open_interest_removed_coin),
        }
        for event in flow_calendar(measurement.profiles[0], measurement.snapshot.futures).events
    ]


def _own_blocks(measurement: Measurement) -> dict[str, Any]:
    from tailwag.experiments.own_blocks import my_book_block, trade_blocks

    return {"my_book": my_book_block(measurement), "trade": trade_blocks(measurement)}
