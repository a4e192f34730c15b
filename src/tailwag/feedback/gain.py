"""The loop gain: dollars that hedgers must buy per 1 % over dollars that move the price by 1 %, and all that explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tailwag.errors import RuleError
from tailwag.feedback.inputs import GainInputs, gain_inputs
from tailwag.feedback.law import LawGain, law_gain, repriced_gain
from tailwag.feedback.sentences import band_sentence, gain_sentence, late_sentence, regime_sentence, vanna_sentence, zones_sentence
from tailwag.feedback.zones import RunawayZone, distance_pct, runaway_zones
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.liquidity import Impact

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.exposure import Profile
    from tailwag.figures.palette import Theme

Regime = Literal["damping", "amplifying", "runaway", "undetermined"]
BAND_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class RuleGain:
    """Gain under one positioning rule, with the same law and move."""

    rule: str
    gex_usd_per_pct: float
    value: float | None
    reason: str | None = None
    """Why there is no value: the law is silent about this rule's flow."""

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {"rule": self.rule, "gex_usd_per_pct": self.gex_usd_per_pct, "value": self.value, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ShareGain:
    """One expiry's or strike's part of the gain; parts sum to the value (exact for a linear law, by share of the flow for others)."""

    key: str | float
    gex_usd_per_pct: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Gain:
    """The loop gain under one rule, one law and one move size, beside every other law, rule, expiry, strike and spot.

    ``value`` is gamma only.  ``gain_up`` and ``gain_down`` reprice the whole book at +move and -move.  ``with_vanna`` adds what the smile's
    own move adds, at the same depth.  Every None has a sentence: ``reason``, ``vanna_reason``, ``band_reason``, ``amplification_reason``.
    ``gain_over_spot`` (g,) holds the depth in USD constant.  Signs: > 0 short gamma, amplifies; < 0 long gamma, damps.
    """

    headline: LawGain
    impact: Impact
    inputs: GainInputs
    move_pct: float
    hedge_share: float
    break_even_depth_usd_per_pct: float
    regime: Regime
    amplification: float | None
    amplification_reason: str | None
    gain_up: float | None = None
    gain_down: float | None = None
    repriced_reason: str | None = None
    with_vanna: float | None = None
    vanna_reason: str | None = None
    spot_vol_beta: float | None = None
    low: float | None = None
    high: float | None = None
    band_reason: str | None = None
    by_law: tuple[LawGain, ...] = ()
    by_rule: tuple[RuleGain, ...] = ()
    by_expiry: tuple[ShareGain, ...] = ()
    by_strike: tuple[ShareGain, ...] = ()
    spot_usd: FloatArray | None = None
    gain_over_spot: FloatArray | None = None
    runaway_zones: tuple[RunawayZone, ...] = ()
    runaway_distance_pct: float | None = None

    @property
    def value(self) -> float | None:
        """The loop gain, gamma only; None where no depth is known (see ``reason``)."""
        return self.headline.value

    @property
    def reason(self) -> str | None:
        """Why there is no value."""
        return self.headline.reason

    @property
    def law(self) -> str:
        """The liquidity law of the value."""
        return self.headline.law

    @property
    def depth_usd_per_pct(self) -> float | None:
        """Dollars that move the price 1 %, at the flow that the move forces."""
        return self.headline.depth_usd_per_pct

    @property
    def gex_usd_per_pct(self) -> float:
        """Signed GEX of the whole book at the current spot."""
        return self.inputs.gex_usd_per_pct

    @property
    def flow_usd(self) -> float:
        """USD that hedgers buy after a rise of ``move_pct`` (gamma only, the hedged share)."""
        return -self.gex_usd_per_pct * self.hedge_share * self.move_pct + 0.0

    def gain_at(self, gex_usd_per_pct: float) -> float | None:
        """Gain of another GEX (a later hour, another spot) at this depth: -GEX * hedge share / depth."""
        depth = self.depth_usd_per_pct
        return None if depth is None else -gex_usd_per_pct * self.hedge_share / depth + 0.0

    def sentences(self) -> tuple[str, ...]:
        """What this means for a trader, most important first, each with its assumption."""
        found = (
            regime_sentence(self),
            gain_sentence(self),
            late_sentence(self),
            vanna_sentence(self),
            band_sentence(self),
            zones_sentence(self),
        )
        return tuple(sentence for sentence in found if sentence)

    def __str__(self) -> str:
        return gain_sentence(self)

    def document(self) -> dict[str, Any]:
        """The ``gain`` block of ``tailwag.measure/1``: plain values, unknown = None beside a reason."""
        head = self.headline
        return {
            "value": self.value,
            "reason": self.reason,
            "law": self.law,
            "source": head.source,
            "depth_usd_per_pct": self.depth_usd_per_pct,
            "move_pct": self.move_pct,
            "hedge_share": self.hedge_share,
            "flow_usd": self.flow_usd,
            "value_repriced_up": self.gain_up,
            "value_repriced_down": self.gain_down,
            "repriced_reason": self.repriced_reason,
            "with_vanna": self.with_vanna,
            "vanna_reason": self.vanna_reason,
            "low": self.low,
            "high": self.high,
            "band_reason": self.band_reason,
            "break_even_depth_usd_per_pct": self.break_even_depth_usd_per_pct,
            "amplification": self.amplification,
            "amplification_reason": self.amplification_reason,
            "regime": self.regime,
            "by_law": [law.document() for law in self.by_law],
            "by_rule": [rule.document() for rule in self.by_rule],
            "by_expiry": [{"expiry": part.key, "gex_usd_per_pct": part.gex_usd_per_pct, "value": part.value} for part in self.by_expiry],
            "by_strike": [
                {"strike_usd": part.key, "gex_usd_per_pct": part.gex_usd_per_pct, "value": part.value} for part in self.by_strike
            ],
            "runaway_zones_usd": [[zone.low_usd, zone.high_usd] for zone in self.runaway_zones],
            "runaway_distance_pct": self.runaway_distance_pct,
            "sentences": list(self.sentences()),
        }

    def to_frame(self) -> polars.DataFrame:
        """One row per liquidity law."""
        import polars as pl

        return pl.DataFrame([law.document() for law in self.by_law], infer_schema_length=None)

    def plot(self, by: Literal["rule", "law", "spot"] = "rule", *, theme: Theme = "light") -> Figure:
        """Who is short ('rule'), the laws of liquidity ('law'), or exposure and gain at every spot ('spot'), as an interactive figure."""
        from tailwag.figures import gain_by_law, gex_profile, who_is_short

        if by == "rule":
            rules = self.by_rule
            return who_is_short([each.rule for each in rules], [each.gex_usd_per_pct for each in rules], _drawable(rules), theme=theme)
        if by == "law":
            laws = [law for law in self.by_law if law.value is not None]
            return gain_by_law([law.law for law in laws], _drawable(laws), [law.depth_usd_per_pct for law in laws], theme=theme)
        if by != "spot":
            raise RuleError(f"expected a gain plotted by 'rule', 'law' or 'spot', got {by[:20]!a}")
        spots, gex = self.inputs.profile_spot_usd, self.inputs.profile_gex_usd_per_pct
        if spots is None or gex is None:
            raise RuleError("these inputs hold no profile over spot; give loop_gain a profile")
        zones = [(zone.low_usd, zone.high_usd) for zone in self.runaway_zones]
        return gex_profile(spots, gex, self.gain_over_spot, spot_usd=self.inputs.spot_usd, runaway_zones_usd=zones, theme=theme)


def _drawable(parts: Sequence[RuleGain] | Sequence[LawGain]) -> FloatArray:
    return np.array([np.nan if part.value is None else part.value for part in parts])


def loop_gain(
    profile: Profile | GainInputs,
    impact: Impact,
    *,
    move_pct: float,
    hedge_share: float = 1.0,
    spot_vol_beta: float | None = None,
    other_laws: Sequence[Impact] = (),
    other_rules: Sequence[Profile | GainInputs] = (),
    band_laws: Sequence[Impact] = (),
) -> Gain:
    """Hedging flow over liquidity: G = -GEX * hedge_share / depth, with its attribution, its band and its runaway zones.

    ``impact`` gives the headline value; ``other_laws`` and ``other_rules`` stand beside it in ``by_law`` and ``by_rule``.  ``band_laws`` are
    the same law deeper and shallower: the band spans them, both sides of a book, every rule and 95 % of the positioning draws.
    ``spot_vol_beta`` (d vol / d ln S, one number for all) replaces the beta that the smile dynamic implies row by row.

    >>> from tailwag.liquidity import SquareRootImpact
    >>> inputs = GainInputs(spot_usd=60000.0, gex_usd_per_pct=-57.5655518e6)
    >>> print(round(loop_gain(inputs, SquareRootImpact(10e9, 0.0314054354), move_pct=1.0).value, 4))
    0.2383

    Raises RuleError for a move that is not above 0 and below 100 per cent, or a hedge share outside 0 to 1.  Source: docs/explanation/loop-gain.
    """
    inputs, rules = gain_inputs(profile), tuple(gain_inputs(other) for other in other_rules)
    _check(move_pct, hedge_share, (inputs, *rules))
    head = law_gain(inputs.gex_usd_per_pct, impact, move_pct=move_pct, hedge_share=hedge_share)
    amplification, amplification_reason = _amplification(head)
    known = tuple(law_gain(inputs.gex_usd_per_pct, law, move_pct=move_pct, hedge_share=hedge_share) for law in other_laws)
    gain = Gain(
        headline=head,
        impact=impact,
        inputs=inputs,
        move_pct=float(move_pct),
        hedge_share=float(hedge_share),
        break_even_depth_usd_per_pct=abs(inputs.gex_usd_per_pct) * hedge_share,
        regime=_regime(head, [inputs, *rules]) if hedge_share > 0.0 else "undetermined",
        amplification=amplification,
        amplification_reason=amplification_reason,
        by_law=(head, *known),
        by_rule=tuple(_rule_gain(each, impact, move_pct, hedge_share) for each in (inputs, *rules)),
    )
    gain = _with_shares(_with_band(gain, (impact, *band_laws), (inputs, *rules)))
    return _over_spot(_with_vanna(_with_repricing(gain), spot_vol_beta))


def _check(move_pct: float, hedge_share: float, rules: Sequence[GainInputs]) -> None:
    if not 0.0 < move_pct < 100.0:
        raise RuleError(f"expected move_pct above 0 and below 100, got {move_pct}; 1 asks for the gain of a 1 % move")
    if not 0.0 <= hedge_share <= 1.0:
        raise RuleError(f"expected hedge_share from 0 to 1, got {hedge_share}; it is the fraction of the book that is hedged")
    # a book that nobody holds has a GEX of 0 whatever the spot is
    unknown = next(
        (each for each in rules if each.gex_usd_per_pct != 0.0 and not (math.isfinite(each.gex_usd_per_pct) and each.spot_usd > 0.0)), None
    )
    if unknown is not None:
        raise RuleError(
            f"{unknown.rule}: expected a known GEX and spot, got {unknown.gex_usd_per_pct} at {unknown.spot_usd}; mask unknown rows first"
        )


def _rule_gain(inputs: GainInputs, impact: Impact, move_pct: float, hedge_share: float) -> RuleGain:
    found = law_gain(inputs.gex_usd_per_pct, impact, move_pct=move_pct, hedge_share=hedge_share)
    return RuleGain(inputs.rule, inputs.gex_usd_per_pct, found.value, found.reason)


def _amplification(head: LawGain) -> tuple[float | None, str | None]:
    """1 / (1 - G) while that means anything."""
    if head.value is None:
        return None, head.reason
    if head.value >= 1.0:
        return None, f"a gain of {head.value:.3g} feeds on itself without end; 1/(1 - G) has no meaning at 1 or above"
    return 1.0 / (1.0 - head.value), None


def _regime(head: LawGain, rules: Sequence[GainInputs]) -> Regime:
    """The sign of the hedge needs no depth; whether it runs away does."""
    signs = {math.copysign(1.0, gex) for each in rules for gex in (each.gex_usd_per_pct, *_quantiles(each)) if gex != 0.0}
    if len(signs) != 1:
        return "undetermined"
    if signs == {1.0}:
        return "damping"
    return "runaway" if head.value is not None and head.value >= 1.0 else "amplifying"


def _quantiles(inputs: GainInputs) -> tuple[float, ...]:
    draws = inputs.draws_gex_usd_per_pct
    return () if draws is None or not len(draws) else tuple(float(value) for value in np.quantile(draws, BAND_QUANTILES))


def _with_band(gain: Gain, laws: Sequence[Impact], rules: Sequence[GainInputs]) -> Gain:
    """Lowest and highest gain over every stated doubt: rules, draws, laws, and the two sides of a book."""
    if gain.value is None:
        return replace(gain, band_reason=gain.reason)
    exposures = {gex for each in rules for gex in (each.gex_usd_per_pct, *_quantiles(each))}
    if len(exposures) == 1 and len(laws) == 1 and gain.headline.bid_usd_per_pct is None:
        return replace(gain, band_reason="one rule and one depth: no uncertainty was stated, so there is no band")
    found: list[float] = []
    for gex in exposures:
        for law in laws:
            part = law_gain(gex, law, move_pct=gain.move_pct, hedge_share=gain.hedge_share)
            if part.value is None:
                # a band that left out the flow the law cannot answer for would look surer than it is
                return replace(gain, band_reason=f"no band: {part.reason}")
            found.extend(_corners(gex, part, gain.hedge_share))
    return replace(gain, low=min(found), high=max(found))


def _corners(gex: float, part: LawGain, hedge_share: float) -> list[float]:
    depths = [depth for depth in (part.bid_usd_per_pct, part.ask_usd_per_pct) if depth is not None]
    return [-gex * hedge_share / depth + 0.0 for depth in depths] + ([] if part.value is None else [part.value])


def _with_shares(gain: Gain) -> Gain:
    parts = [
        tuple(ShareGain(key, gex, gain.gain_at(gex)) for key, gex in shares) for shares in (gain.inputs.by_expiry, gain.inputs.by_strike)
    ]
    return replace(gain, by_expiry=parts[0], by_strike=parts[1])


def _with_repricing(gain: Gain) -> Gain:
    if gain.inputs.repriced_flow_usd is None:
        return replace(gain, repriced_reason="the inputs cannot be repriced; give loop_gain a profile")
    move = gain.move_pct
    up, down = (gain.hedge_share * float(flow) for flow in gain.inputs.repriced_flow_usd(np.array([move, -move])))
    gains = repriced_gain(up, gain.impact, move_pct=move), repriced_gain(down, gain.impact, move_pct=-move)
    return replace(
        gain, gain_up=gains[0], gain_down=gains[1], repriced_reason=None if None not in gains else gain.reason or "beyond the law's reach"
    )


def _with_vanna(gain: Gain, spot_vol_beta: float | None) -> Gain:
    """g_eff = -(GEX + beta * vanna per vol point) * hedge share / depth, at the depth of the value (lambda held)."""
    vanna = gain.inputs.vanna_usd_per_volpt
    if spot_vol_beta is not None:
        extra, missing = (None, "vanna is unknown") if vanna is None else (spot_vol_beta * vanna, None)
    else:
        extra = gain.inputs.smile_gex_usd_per_pct
        missing = "no smile dynamic is known and no spot_vol_beta was given" if extra is None else None
    if extra is None or gain.depth_usd_per_pct is None:
        return replace(gain, vanna_reason=missing or gain.reason, spot_vol_beta=spot_vol_beta)
    return replace(gain, with_vanna=gain.gain_at(gain.gex_usd_per_pct + extra), spot_vol_beta=spot_vol_beta)


def _over_spot(gain: Gain) -> Gain:
    spot, gex = gain.inputs.profile_spot_usd, gain.inputs.profile_gex_usd_per_pct
    if spot is None or gex is None or gain.depth_usd_per_pct is None:
        return gain
    values = -np.asarray(gex, dtype=np.float64) * gain.hedge_share / gain.depth_usd_per_pct + 0.0
    zones = runaway_zones(spot, values)
    nearest = distance_pct(gain.inputs.spot_usd, zones)
    return replace(gain, spot_usd=spot, gain_over_spot=frozen(values), runaway_zones=zones, runaway_distance_pct=nearest)
