"""How scenario files and command lines spell a policy; one table of kinds serves both."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from tailwag.errors import InputError
from tailwag.hedging.cost_aware import Leland, WhalleyWilmott, Zakamouline
from tailwag.hedging.decision import Policy
from tailwag.hedging.rebalancing import AtTimes, Band, CharmOnly, EveryStep, NoHedge, Predictive

KINDS: Mapping[str, Callable[..., Any]] = {
    "every-step": EveryStep,
    "grid": AtTimes,
    "band": Band,
    "whalley-wilmott": WhalleyWilmott,
    "zakamouline": Zakamouline,
    "leland": Leland,
    "predictive": Predictive,
    "charm-only": CharmOnly,
    "none": NoHedge,
}
POLICY_SPELLINGS = (
    "every-step, grid:60min, grid:60min,30min, band:2e6usd, band:5coin:centre, whalley-wilmott:1e-6,5bps, zakamouline:1e-6,5bps, "
    "leland:5bps,60min, predictive, charm-only, none"
)
"""The forms of :func:`policy_from_text`."""
_UNITS = {"every_minutes": "min", "jitter_minutes": "min", "cost_bps": "bps", "risk_aversion_per_usd": ""}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)


def policy_from_mapping(table: Mapping[str, Any]) -> Policy:
    """The policy that a table of a scenario file describes.

    >>> print(policy_from_mapping({"kind": "grid", "every_minutes": 60}))
    every 60 minutes

    Raises InputError for an unknown kind or key, a missing one, or a number out of range; the message says what is allowed.
    """
    if not isinstance(table, Mapping):
        raise InputError(f'expected policy as a table such as {{kind = "band", half_width_usd = 2e6}}, got {table!a}'[:200])
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"expected policy kind as one of {', '.join(KINDS)}; got {_shown(kind)}{_close(kind, KINDS)}")
    given = {key: value for key, value in table.items() if key != "kind"}
    _check_keys(kind, given)
    try:
        policy: Policy = KINDS[kind](**{key: _as_float(value) for key, value in given.items()})
    except InputError as error:
        raise InputError(f"policy {kind}: {error}") from None
    return policy


def _check_keys(kind: str, given: Mapping[str, Any]) -> None:
    known = {field.name: field.default for field in fields(KINDS[kind])}  # type: ignore[arg-type]
    allowed = ", ".join(known) or "no other key"
    for key in given:
        if key not in known:
            raise InputError(f"policy {kind}: unknown key {_shown(key)}; it takes {allowed}{_close(key, known)}")
    missing = [name for name, default in known.items() if default is MISSING and name not in given]
    if missing:
        raise InputError(f"policy {kind}: {' and '.join(missing)} missing; it takes {allowed}")


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300 else value


def _shown(value: Any) -> str:
    return ascii(value)[:60]


def _close(word: Any, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(word)[:60], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def policy_to_mapping(policy: Policy) -> dict[str, Any]:
    """The table that :func:`policy_from_mapping` turns back into the same policy.

    >>> policy_to_mapping(Band(half_width_usd=2e6))
    {'kind': 'band', 'half_width_usd': 2000000.0, 'target': 'edge'}
    """
    kind = _kind_of(policy)
    numbers = {field.name: getattr(policy, field.name) for field in fields(policy)}  # type: ignore[arg-type]
    return {"kind": kind} | {name: value for name, value in numbers.items() if value is not None}


def _kind_of(policy: Policy) -> str:
    for kind, made in KINDS.items():
        if type(policy) is made:
            return kind
    raise InputError(f"expected a built-in policy ({', '.join(KINDS)}), got {type(policy).__name__}; a policy of your own has no spelling")


def policy_from_text(text: str) -> Policy:
    """The policy that a command-line word stands for.

    >>> print(policy_from_text("leland:5bps,60min"))
    every 60 minutes at the Leland vol (cost 5 bps one way)

    Raises InputError for anything else; the message lists the forms.
    """
    kind, _, rest = text.strip().partition(":")
    if kind not in KINDS:
        raise InputError(f"expected a policy such as {POLICY_SPELLINGS}; got {_shown(text)}{_close(kind, KINDS)}")
    try:
        read = _band_numbers(rest) if kind == "band" else _numbers(kind, rest)
        return policy_from_mapping({"kind": kind, **read})
    except InputError as error:
        raise InputError(f"{_shown(text)}: {error}; forms: {POLICY_SPELLINGS}") from None


def _band_numbers(rest: str) -> dict[str, Any]:
    width, colon, target = rest.partition(":")
    unit = next((unit for unit in ("usd", "coin") if width.endswith(unit)), None)
    if unit is None:
        raise InputError("expected a half-width with its unit, such as 2e6usd or 5coin")
    return {f"half_width_{unit}": _number(width, unit), **({"target": target} if colon else {})}


def _numbers(kind: str, rest: str) -> dict[str, Any]:
    names = [field.name for field in fields(KINDS[kind])]  # type: ignore[arg-type]
    words = rest.split(",") if rest else []
    if len(words) > len(names):
        raise InputError(f"expected at most {len(names)} numbers, got {len(words)}")
    return {name: _number(word, _UNITS[name]) for name, word in zip(names, words, strict=False)}


def _number(word: str, unit: str) -> float:
    digits = word.strip().lower()
    if not digits.endswith(unit) or not _NUMBER.fullmatch(digits.removesuffix(unit)):
        raise InputError(f"expected a number{' in ' + unit if unit else ''} such as {'5' + unit if unit else '1e-6'}, got {_shown(word)}")
    return float(digits.removesuffix(unit))


def policy_to_text(policy: Policy) -> str:
    """The command-line word of a policy, the shortest that :func:`policy_from_text` turns back into the same one.

    >>> policy_to_text(Band(half_width_coin=5.0, target="centre"))
    'band:5.0coin:centre'
    """
    kind = _kind_of(policy)
    if isinstance(policy, Band):
        width = f"{policy.half_width_usd!r}usd" if policy.half_width_usd is not None else f"{policy.half_width_coin!r}coin"
        return f"band:{width}{':centre' if policy.target == 'centre' else ''}"
    table = policy_to_mapping(policy)
    words = [
        f"{value!r}{_UNITS[name]}" for name, value in table.items() if name != "kind" and not (name == "jitter_minutes" and value == 0.0)
    ]
    return f"{kind}:{','.join(words)}" if words else kind
