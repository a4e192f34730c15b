"""fit_surface: quotes in, arbitrage-checked smiles out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailwag.kernels import svi
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.kernels.svi_fit import fit_slices
from tailwag.market.chain import Chain
from tailwag.market.clock import years_to_expiry
from tailwag.market.codes import RowCode
from tailwag.market.forwards import ForwardCurve, forward_curve
from tailwag.market.snapshot import Snapshot
from tailwag.surface.arbitrage import calendar_violations, checked_range
from tailwag.surface.curves import Curve, FlatCurve, KnotCurve, SviCurve
from tailwag.surface.quotes import SmilePoints, points_by_entry, row_quotes, vega_share
from tailwag.surface.rows import Surface
from tailwag.surface.smile import Smile, SmileModel
from tailwag.surface.ssvi import fit_ssvi

MIN_POINTS = 5
"""SVI has five parameters: with fewer points a smile is flat."""
GUARDS = (1.0, 10.0, 100.0, 1000.0)
"""How hard the guarded fit leans on Durrleman's g, harder and harder until no butterfly is left; in units of the unguarded cost."""
DEAREST_REPAIR, DEAREST_REPAIR_VOLPT = 2.0, 1.0
"""A repair that more than doubles the residual and adds a vol point would bend the quotes to mend what nobody quotes: it is not made."""
LEAST_VEGA_SHARE = 0.02
ROUNDING_G = -1e-9
MISFIT_VOLPT = 1.0
MISFIT_INSIDE = 0.5
MISFIT_SPREADS = 1.5
"""A smile is not SVI-shaped if SVI misses it by this many half-spreads and a vol point, with most quotes outside bid and ask."""
KNOT_HALF_WIDTHS = 4.0


def fit_surface(snapshot: Snapshot, *, forwards: ForwardCurve | None = None, repair: bool = True, day_count: str = "act-365") -> Surface:
    """The volatility surface that a snapshot's quotes imply: one checked smile per venue and expiry.

    Each strike's out-of-the-money two-sided quote (else the venue's mark) becomes a volatility; raw SVI is fitted to all of an expiry,
    weighted by vega over spread, leaving the bid/ask band costing more than leaving the mid.  A slice with butterflies is repaired
    (``repair``), one that is not SVI-shaped is interpolated, one with fewer than five points is flat.  SSVI runs across expiries;
    calendar crossings are reported, not mended.

    Raises RuleError for an unknown ``day_count``.
    Source: Gatheral and Jacquier 2014; docs/explanation/loop-gain.
    """
    chain = snapshot.chain
    curve = forward_curve(chain, snapshot.futures, day_count=day_count) if forwards is None else forwards
    entry = curve.entry_of(chain)
    years = years_to_expiry(chain.expiry_ns, chain.as_of_ns, day_count=day_count)
    quotes = row_quotes(chain, curve, entry, years)
    points = points_by_entry(chain, quotes, entry, len(curve), years)
    kept = [j for j in range(len(curve)) if len(points[j]) > 0]
    fitted = _fit([points[j] for j in kept], curve.years[kept], repair=repair)
    smiles = tuple(_smile(curve, j, points[j], model, shape, notes) for j, (model, shape, notes) in zip(kept, fitted))
    return _surface(chain, curve, entry, kept, smiles)


def _surface(chain: Chain, curve: ForwardCurve, entry: IntArray, kept: list[int], smiles: tuple[Smile, ...]) -> Surface:
    forward, added = curve.rows(chain)
    place = np.full(len(curve) + 1, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    with np.errstate(invalid="ignore", divide="ignore"):
        sound = np.isfinite(forward) & np.isfinite(chain.strike_usd) & (chain.strike_usd > 0.0)
        log_moneyness = np.log(np.where(sound, chain.strike_usd, 1.0) / np.where(sound, forward, 1.0))
    codes = (chain.codes & ~int(RowCode.FORWARD_MISSING)) | added
    return Surface(
        chain=chain,
        forwards=curve,
        forward_usd=frozen(forward),
        log_moneyness=frozen(log_moneyness),
        smiles=smiles,
        smile_of_row=frozen(np.where(sound, place[entry], -1), np.int64),
        ssvi=fit_ssvi(smiles),
        calendar_violations=calendar_violations(smiles),
        row_codes=frozen(codes, np.int64),
    )


Fitted = tuple[SmileModel, Curve, tuple[str, ...]]


def _fit(points: list[SmilePoints], years: FloatArray, *, repair: bool) -> list[Fitted]:
    """Model, curve and notes of each expiry; all SVI slices in one compiled call."""
    many = [j for j, each in enumerate(points) if len(each) >= MIN_POINTS]
    found: list[Fitted] = [_flat(each, float(t)) for each, t in zip(points, years)]
    if many:
        raw, cost, _ = fit_slices(*_quotes([points[j] for j in many], years[many]))
        for j, slice_raw, slice_cost in zip(many, raw, cost.tolist()):
            found[j] = _checked(points[j], float(years[j]), slice_raw, slice_cost, repair=repair)
    return found


def _quotes(points: list[SmilePoints], years: FloatArray) -> tuple[FloatArray, IntArray]:
    """What the compiled fit takes, (4, quotes) and (slices + 1,): errors in vol, linearised to total variance.

    The weight is vega over spread: 1 / half-width in vol is vega over the price spread, and its square root of vega share lets the
    strikes lead that carry gamma.
    """
    k = np.concatenate([each.log_moneyness for each in points])
    iv = np.concatenate([each.target_iv for each in points])
    half = np.concatenate([each.half_width for each in points])
    sizes = [len(each) for each in points]
    t = np.repeat(years, sizes)
    per_vol = 2.0 * iv * t
    share = np.sqrt(np.maximum(vega_share(k, iv, t), LEAST_VEGA_SHARE))
    return np.stack([k, iv * iv * t, half * per_vol, share / (half * per_vol)]), np.concatenate([[0], np.cumsum(sizes)])


def _checked(points: SmilePoints, years: float, raw: FloatArray, cost: float, *, repair: bool) -> Fitted:
    """The slice as it is, repaired, or replaced where the smile is not SVI-shaped."""
    fitted = SviCurve(frozen(raw))
    if _misfits(points, years, fitted):
        return _interpolated(points, years, ("not SVI-shaped: interpolated between the quotes",))
    lowest, where = fitted.butterfly_minimum(*checked_range(points, years))
    if lowest >= ROUNDING_G:
        return "svi", fitted, ()
    found = f"butterfly arbitrage at {np.expm1(where):+.0%} moneyness (g {lowest:.3f})"
    mended = _mended(points, years, raw, cost) if repair else None
    if mended is None:
        return "svi", fitted, (f"{found}; {'no repair found' if repair else 'not repaired'}",)
    before, after = _rmse_volpt(points, years, fitted), _rmse_volpt(points, years, mended)
    if after > max(DEAREST_REPAIR * before, before + DEAREST_REPAIR_VOLPT):
        return "svi", fitted, (f"{found}; left alone, because repair would raise the residual from {before:.2f} to {after:.2f} vol points",)
    return "svi-repaired", mended, (f"{found} repaired; residual {before:.2f} -> {after:.2f} vol points",)


def _mended(points: SmilePoints, years: float, raw: FloatArray, cost: float) -> SviCurve | None:
    """The best slice without butterflies: guarded fits from the slice itself and from its JW repair, or the JW repair alone."""
    span = checked_range(points, years)
    closest = svi.butterfly_repair(raw, years)
    candidates = [] if closest is None else [SviCurve(frozen(closest))]
    quotes, offsets = _quotes([points], np.array([years]))
    unit = float(np.sqrt(max(cost, 1.0)))
    for start in [raw] if closest is None else [raw, closest]:
        current = start
        for strength in GUARDS:
            current = fit_slices(quotes, offsets, starts=current[None, :], guard=strength * unit, guard_range=span)[0][0]
            if svi.butterfly_minimum(current, low=span[0], high=span[1])[0] >= 0.0:
                break
        candidates.append(SviCurve(frozen(current)))
    sound = [curve for curve in candidates if curve.butterfly_minimum(*span)[0] >= ROUNDING_G]
    return min(sound, key=lambda curve: _spread_error(points, years, curve)) if sound else None


def _interpolated(points: SmilePoints, years: float, notes: tuple[str, ...]) -> Fitted:
    """A monotone cubic through every mid that is not far wider than the rest."""
    usual = float(np.median(points.half_width))
    good = points.half_width <= KNOT_HALF_WIDTHS * usual
    k, first = np.unique(points.log_moneyness[good], return_index=True)
    variance = (points.target_iv[good] ** 2 * years)[first]
    if k.size < 2:
        return _flat(points, years)
    return "interpolated", KnotCurve.through(k, variance), notes


def _flat(points: SmilePoints, years: float) -> Fitted:
    """One level: the mean of what there is, weighted by vega over spread."""
    weight = vega_share(points.log_moneyness, points.target_iv, years) / points.half_width + 1e-12
    level = float(np.sum(weight * points.target_iv) / np.sum(weight))
    return "flat", FlatCurve(max(level * level * years, 1e-16)), (f"{len(points)} usable quotes, {MIN_POINTS} needed for a smile: flat",)


def _vol_error(points: SmilePoints, years: float, curve: Curve) -> FloatArray:
    variance = np.maximum(curve.derivatives(points.log_moneyness)[0], 1e-16)
    return np.sqrt(variance / years) - points.target_iv


def _rmse_volpt(points: SmilePoints, years: float, curve: Curve) -> float:
    """Vega-weighted root mean square distance in vol points from the mids, or from the marks where almost nothing is quoted."""
    counted = points.two_sided if np.sum(points.two_sided) >= MIN_POINTS else np.ones(len(points), dtype=np.bool_)
    weight = vega_share(points.log_moneyness, points.target_iv, years)[counted] + 1e-12
    error = _vol_error(points, years, curve)[counted]
    return 100.0 * float(np.sqrt(np.sum(weight * error * error) / np.sum(weight)))


def _spread_error(points: SmilePoints, years: float, curve: Curve) -> float:
    """Mean squared distance from the mids in half-spreads."""
    return float(np.mean((_vol_error(points, years, curve) / points.half_width) ** 2))


def _inside_share(points: SmilePoints, years: float, curve: Curve) -> float | None:
    """Share of two-sided quotes that the curve passes between bid and ask (to a thousandth of a vol point)."""
    both = points.two_sided
    if not both.any():
        return None
    fitted = points.target_iv + _vol_error(points, years, curve)
    inside = (fitted[both] >= points.bid_iv[both] - 1e-5) & (fitted[both] <= points.ask_iv[both] + 1e-5)
    return float(np.mean(inside))


def _misfits(points: SmilePoints, years: float, curve: Curve) -> bool:
    weight = vega_share(points.log_moneyness, points.target_iv, years)
    spread = 100.0 * float(np.sum(weight * points.half_width) / (np.sum(weight) + 1e-300))
    rmse, inside = _rmse_volpt(points, years, curve), _inside_share(points, years, curve)
    return rmse > max(MISFIT_VOLPT, MISFIT_SPREADS * spread) and (inside is None or inside < MISFIT_INSIDE)


def _smile(curve: ForwardCurve, j: int, points: SmilePoints, model: SmileModel, shape: Curve, notes: tuple[str, ...]) -> Smile:
    years = float(curve.years[j])
    fitted = points.target_iv + _vol_error(points, years, shape)
    lowest, where = shape.butterfly_minimum(*checked_range(points, years))
    if lowest < ROUNDING_G and model == "interpolated":
        notes = (*notes, f"butterfly arbitrage at {np.expm1(where):+.0%} moneyness (g {lowest:.3f})")
    marks = int(np.sum(~points.two_sided))
    if marks:
        notes = (*notes, f"{marks} of {len(points)} strikes have no usable two-sided quote: the venue's mark stands in")
    return Smile(
        venue=str(curve.venue[j]),
        expiry_ns=int(curve.expiry_ns[j]),
        years=years,
        forward_usd=float(curve.forward_usd[j]),
        model=model,
        curve=shape,
        points=replace(points, fit_iv=frozen(fitted)),
        rmse_volpt=_rmse_volpt(points, years, shape),
        inside_share=_inside_share(points, years, shape),
        butterfly_min_g=lowest,
        notes=notes,
    )
