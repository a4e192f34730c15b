"""A chain of which everything held is masked: nothing is known, which is told in words and nulls and never as zeros."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tailwag.experiments.options import MeasureOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailwag.exposure import Book, Profile
    from tailwag.feedback import Gain
    from tailwag.liquidity import Impact

CODES_NAMED = 3


def masked_sentence(book: Book) -> str:
    """Why nothing of the book is known, empty where something is."""
    if not book.is_unknown:
        return ""
    codes = ", ".join(f"{share.code} {share.open_interest_share:.0%}" for share in book.masked[:CODES_NAMED] if share.open_interest_share)
    return f"every option that holds open interest (100 % of it) is masked{f' ({codes})' if codes else ''}: no exposure, flip, flow or gain is known"


def unpriced_sentence(book: Book) -> str:
    """Why nothing of the book can be repriced though the file's own gamma counts, empty where something can."""
    if book.is_unknown or not book.is_unpriced:
        return ""
    return "no option that holds open interest can be repriced: only the file's gamma at the current spot counts, all else is unknown"


def unknown_gain(profiles: Sequence[Profile], laws: Sequence[Impact], options: MeasureOptions) -> Gain:
    """The gain of a book that nobody can see: every law and every rule with its reason, no number, GEX NaN."""
    from tailwag.feedback import GainInputs, loop_gain
    from tailwag.feedback.gain import RuleGain
    from tailwag.liquidity import UnknownImpact

    book, why = profiles[0].book, masked_sentence(profiles[0].book)
    silent = [UnknownImpact(law.name, why) for law in laws]
    stand_in = GainInputs(spot_usd=book.spot_usd, gex_usd_per_pct=0.0, rule=book.rule, dynamics=str(profiles[0].dynamics.name))
    gain = loop_gain(stand_in, silent[0], move_pct=options.move_pct, hedge_share=options.hedge_share, other_laws=silent[1:])
    return replace(
        gain,
        inputs=replace(stand_in, gex_usd_per_pct=math.nan),
        break_even_depth_usd_per_pct=math.nan,
        repriced_reason=why,
        vanna_reason=why,
        band_reason=why,
        by_rule=tuple(RuleGain(profile.book.rule, profile.totals.gex_usd_per_pct, None, why) for profile in profiles),
    )


def without_nan(value: Any) -> Any:
    """Plain values with null for every number that is not one.

    >>> without_nan({"gex": float("nan"), "of": [1.0, float("inf")]})
    {'gex': None, 'of': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
