"""``tailwag greeks`` and ``tailwag iv``: one option's price and greeks in USD and in coin, or the vol that its price implies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError, UnitError

if TYPE_CHECKING:
    import typer

GREEKS_EXAMPLES = """
[bold]Examples[/bold]

  tailwag greeks --forward-usd 60000 --strike-usd 65000 --iv 0.65 --years 0.0821918 --right call

  tailwag greeks --forward-usd 3500 --strike-usd 3000 --iv 0.8 --years 0.25 --right put --json -
"""
IV_EXAMPLES = """
[bold]Examples[/bold]

  tailwag iv --forward-usd 60000 --strike-usd 65000 --price-usd 2560 --years 0.0821918 --right call

  tailwag iv --forward-usd 60000 --strike-usd 65000 --price-coin 0.0427 --years 0.0821918 --right call --json -
"""
UNITS = {
    "price": "{}",
    "net_delta": "coin to hedge, the premium's own delta taken off",
    "delta": "{} per USD of forward",
    "gamma": "delta per USD of forward",
    "vega": "{} per 1.00 of vol",
    "theta": "{} per year that passes",
    "rho": "{} per 1.00 of rate, forward held",
    "vanna": "delta per 1.00 of vol",
    "charm": "delta per year that passes",
    "vomma": "vega per 1.00 of vol",
    "speed": "gamma per USD of forward",
    "zomma": "gamma per 1.00 of vol",
    "colour": "gamma per year that passes",
}
WHY = {
    "below_intrinsic": "the price is below the intrinsic value: no vol gives it",
    "above_cap": "the price is above its bound (call: the forward, put: the strike): no vol gives it",
    "unresolvable": "the price holds no time value that double precision could turn into a vol",
}
MOST_USD, LEAST_USD, MOST_YEARS, MOST_IV, MOST_RATE_YEARS = 1e15, 1e-15, 1000.0, 20.0, 100.0


def register(app: typer.Typer) -> None:
    """Add the ``greeks`` and ``iv`` commands to a typer application."""
    import typer

    forward_option = typer.Option(..., "--forward-usd", help="Forward of the option's expiry, USD.")
    strike_option = typer.Option(..., "--strike-usd", help="Strike, USD.")
    iv_option = typer.Option(..., "--iv", help="Volatility as a decimal per year: 0.65 is 65 %.")
    years_option = typer.Option(..., "--years", help="Time to expiry in years of 365 days.")
    right_option = typer.Option(..., "--right", metavar="call|put", help="call or put.")
    rate_option = typer.Option(0.0, "--rate", help="Discount rate per year, continuous, as a decimal.")
    json_option = typer.Option(None, "--json", metavar="FILE", help="Write strict JSON ('-' = stdout, alone).")
    usd_option = typer.Option(None, "--price-usd", help="Price in USD.")
    coin_option = typer.Option(None, "--price-coin", help="Price in coin, as inverse contracts quote it.")

    @app.command("greeks", epilog=GREEKS_EXAMPLES)
    def greeks(
        forward_usd: float = forward_option,
        strike_usd: float = strike_option,
        iv: float = iv_option,
        years: float = years_option,
        right: str = right_option,
        rate: float = rate_option,
        json_file: str | None = json_option,
    ) -> None:
        """Price and eleven greeks of one option, in USD and in coin (Black-76 on the forward)."""
        _checked_iv(iv)
        option = _checked_option(forward_usd, strike_usd, years, right, rate)
        document = greeks_document(**option, iv=iv)
        _give(document, json_file, greeks_table)

    @app.command("iv", epilog=IV_EXAMPLES)
    def iv(
        forward_usd: float = forward_option,
        strike_usd: float = strike_option,
        years: float = years_option,
        right: str = right_option,
        price_usd: float | None = usd_option,
        price_coin: float | None = coin_option,
        rate: float = rate_option,
        json_file: str | None = json_option,
    ) -> None:
        """The volatility that a price implies, or why it implies none."""
        option = _checked_option(forward_usd, strike_usd, years, right, rate)
        document = iv_document(**option, price_usd=_checked_price(price_usd, price_coin, forward_usd))
        _give(document, json_file, iv_table)


def greeks_document(*, forward_usd: float, strike_usd: float, years: float, right: str, rate: float, iv: float) -> dict[str, Any]:
    """What ``tailwag greeks --json`` writes: USD greeks, and under ``coin`` those of the same option in coin.

    Per 1.00 of vol and per year; theta, charm, colour in calendar time; rho at a fixed forward.

    >>> option = dict(forward_usd=60000.0, strike_usd=65000.0, years=30 / 365, right="call", rate=0.0)
    >>> document = greeks_document(**option, iv=0.65)
    >>> round(document["price_usd"], 8), round(document["coin"]["net_delta"], 9)
    (2559.74182777, 0.325638809)
    """
    from tailwag.kernels.black import COIN_GREEKS, GREEKS, black_greeks, coin_greeks

    row = (1.0 if right == "call" else -1.0, forward_usd, strike_usd, years, iv, rate)
    usd = _finite(GREEKS, black_greeks(*row)[:, 0])
    given = {"right": right, "forward_usd": forward_usd, "strike_usd": strike_usd, "iv": iv, "years": years, "rate": rate}
    return {**given, "price_usd": usd.pop("price"), **usd, "coin": _finite(COIN_GREEKS, coin_greeks(*row)[:, 0])}


def iv_document(*, forward_usd: float, strike_usd: float, years: float, right: str, rate: float, price_usd: float) -> dict[str, Any]:
    """What ``tailwag iv --json`` writes: the implied vol, or null and the reason.

    >>> option = dict(forward_usd=60000.0, strike_usd=65000.0, years=30 / 365, right="put", rate=0.0)
    >>> iv_document(**option, price_usd=4999.0)
    {'iv': None, 'status': 'below_intrinsic'}
    """
    from tailwag.kernels.implied import IV_STATUS, implied_vol

    undiscounted_usd = price_usd * math.exp(rate * years)
    vol, status = implied_vol(undiscounted_usd, 1.0 if right == "call" else -1.0, forward_usd, strike_usd, years)
    name = IV_STATUS[int(status[0])]
    return {"iv": float(vol[0]) if name == "ok" else None, "status": name}


def greeks_table(document: dict[str, Any]) -> str:
    """The document as lines for a terminal: greek, in USD, in coin, and the unit of the USD figure."""
    coin = document["coin"]
    lines = [
        f"{document['right']} struck at {document['strike_usd']:,.10g} USD on a forward of {document['forward_usd']:,.10g} USD, "
        f"{document['years']:.6g} years to expiry, iv {document['iv']:.2%}",
        f"{'':<10}{'in USD':>18}{'in coin':>18}   unit (USD; read coin for USD in the second column)",
    ]
    for name, unit in UNITS.items():
        usd_value = document.get("price_usd" if name == "price" else name)
        coin_value = coin["price_coin" if name == "price" else name]
        usd_text = "" if usd_value is None else f"{usd_value:.10g}"
        lines.append(f"{name.replace('_', ' '):<10}{usd_text:>18}{coin_value:>18.10g}   {unit.format('USD')}")
    return "\n".join(lines)


def iv_table(document: dict[str, Any]) -> str:
    """The implied vol as a sentence.

    >>> iv_table({"iv": 0.65, "status": "ok"})
    'implied vol 65.000000 % a year (0.65)'
    """
    if document["status"] == "ok":
        return f"implied vol {document['iv']:.6%} a year ({document['iv']:.12g})".replace("%", " %")
    return f"no implied vol, {document['status']}: {WHY[document['status']]}"


def _finite(names: tuple[str, ...], values: Any) -> dict[str, float]:
    return {name: float(value) + 0.0 for name, value in zip(names, values)}


def _checked_option(forward_usd: float, strike_usd: float, years: float, right: str, rate: float) -> dict[str, Any]:
    for name, price in (("--forward-usd", forward_usd), ("--strike-usd", strike_usd)):
        if not LEAST_USD <= price <= MOST_USD:
            raise InputError(
                f"{name}: expected a price in USD above 0 (and no more than {MOST_USD:g}), got {price}; give the price of one coin"
            )
    if not 0.0 <= years <= MOST_YEARS:
        raise InputError(f"--years: expected 0 to {MOST_YEARS:g} years to expiry, got {years}; 30 days are 0.0821918")
    if not abs(rate) <= 1.0:
        raise InputError(f"--rate: expected a rate between -1 and 1 per year, got {rate}; give 5 % as 0.05")
    if abs(rate * years) > MOST_RATE_YEARS:
        raise InputError(f"--rate and --years: expected a discount of at most exp({MOST_RATE_YEARS:g}), got rate {rate} over {years} years")
    if right.lower() not in ("call", "put"):
        raise InputError(f"--right: expected call or put, got {right[:40]!r}; say which of the two the option is")
    return {"forward_usd": forward_usd, "strike_usd": strike_usd, "years": years, "right": right.lower(), "rate": rate}


def _checked_iv(iv: float) -> None:
    if not iv > 0.0:
        raise InputError(f"--iv: expected a volatility above 0, got {iv}; give 65 % as 0.65")
    if iv > MOST_IV:
        raise UnitError(f"--iv: expected a decimal volatility up to {MOST_IV:g} (2,000 %), got {iv}; give 65 % as 0.65")


def _checked_price(price_usd: float | None, price_coin: float | None, forward_usd: float) -> float:
    given = [price for price in (price_usd, price_coin) if price is not None]
    if len(given) != 1:
        raise InputError(f"expected one of --price-usd and --price-coin, got {'both' if given else 'neither'}; give the one that you have")
    if not math.isfinite(given[0]):
        raise InputError(f"expected a finite price, got {given[0]}; give the option's price as a number")
    return price_usd if price_usd is not None else given[0] * forward_usd


def _give(document: dict[str, Any], json_file: str | None, table: Any) -> None:
    """Print the table, or the JSON alone; the file when one is named."""
    import typer

    text = json.dumps(document, allow_nan=False, indent=1)
    if json_file == "-":
        typer.echo(text)
        return
    if json_file is not None:
        try:
            Path(json_file).write_text(text + "\n", encoding="utf-8")
        except (OSError, ValueError) as trouble:
            raise InputError(
                f"--json: cannot write {json_file[:200]!r} ({type(trouble).__name__}); name a file in a folder that exists"
            ) from None
    typer.echo(table(document))
