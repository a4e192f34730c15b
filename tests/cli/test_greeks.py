"""``tailwag greeks`` and ``tailwag iv`` as a user types them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tailwag.cli.greeks import iv_table, register
from tailwag.errors import InputError, UnitError

OPTION = {"--forward-usd": "60000", "--strike-usd": "65000", "--years": repr(30 / 365), "--right": "call"}
ELEVEN = ("delta", "gamma", "vega", "theta", "rho", "vanna", "charm", "vomma", "speed", "zomma", "colour")


def run(command: str, **changed: str) -> Result:
    app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    register(app)
    words = [word for pair in {**OPTION, **changed}.items() for word in pair]
    return CliRunner().invoke(app, [command, *words])


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert isinstance(document, dict)
    return document


def test_greeks_in_usd_and_in_coin() -> None:
    document = as_json(run("greeks", **{"--iv": "0.65", "--json": "-"}))
    assert document["price_usd"] == pytest.approx(2559.74182777, rel=1e-11)
    assert document["vanna"] == pytest.approx(0.303170247278, rel=1e-10)
    assert document["colour"] == pytest.approx(1.69055954541e-4, rel=1e-10)
    assert document["coin"]["price_coin"] == pytest.approx(0.0426623637961, rel=1e-10)
    assert document["coin"]["net_delta"] == pytest.approx(0.325638809029, rel=1e-10)
    assert document["coin"]["gamma"] == pytest.approx(3.81059336852e-10, rel=1e-10)
    assert set(ELEVEN) <= set(document)
    assert set(document["coin"]) == {"price_coin", "net_delta", *ELEVEN}


def test_a_rate_discounts() -> None:
    plain = as_json(run("greeks", **{"--iv": "0.65", "--json": "-"}))
    discounted = as_json(run("greeks", **{"--iv": "0.65", "--rate": "0.05", "--json": "-"}))
    factor = math.exp(-0.05 * 30 / 365)
    for path in (("price_usd",), ("gamma",), ("coin", "price_coin"), ("coin", "net_delta")):
        before, after = plain, discounted
        for key in path:
            before, after = before[key], after[key]
        assert after == pytest.approx(factor * before, rel=1e-13)


def test_the_table_names_every_greek_and_its_unit() -> None:
    text = run("greeks", **{"--iv": "0.65"}).stdout
    for word in ("price", "net delta", *ELEVEN, "2559.741828", "0.325638809", "USD per 1.00 of vol"):
        assert word in text


@pytest.mark.parametrize("price", [{"--price-usd": "2559.74182777"}, {"--price-coin": "0.0426623637961"}])
def test_implied_vol_from_either_price(price: dict[str, str]) -> None:
    assert as_json(run("iv", **price, **{"--json": "-"})) == {"iv": pytest.approx(0.65, rel=1e-10), "status": "ok"}
    assert "65.0000" in run("iv", **price).stdout


def test_implied_vol_of_a_discounted_price() -> None:
    price = as_json(run("greeks", **{"--iv": "0.65", "--rate": "0.05", "--json": "-"}))["price_usd"]
    document = as_json(run("iv", **{"--price-usd": repr(price), "--rate": "0.05", "--json": "-"}))
    assert document["iv"] == pytest.approx(0.65, rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"--right": "put", "--price-usd": "4999"}, "below_intrinsic"),
        ({"--price-usd": "-1"}, "below_intrinsic"),
        ({"--price-coin": "1.01"}, "above_cap"),
        ({"--right": "put", "--price-usd": "5000"}, "unresolvable"),
        ({"--years": "0", "--price-usd": "10"}, "unresolvable"),
    ],
)
def test_a_price_without_a_vol_says_why_and_exits_0(changed: dict[str, str], status: str) -> None:
    assert as_json(run("iv", **{**changed, "--json": "-"})) == {"iv": None, "status": status}
    assert run("iv", **changed).stdout.startswith(f"no implied vol, {status}: ")


def test_at_expiry_the_limits_stand() -> None:
    document = as_json(run("greeks", **{"--iv": "0.65", "--years": "0", "--right": "PUT", "--json": "-"}))
    assert (document["price_usd"], document["delta"], document["gamma"]) == (5000.0, -1.0, 0.0)


BAD = {
    "negative forward": ("greeks", {"--forward-usd": "-1"}, "--forward-usd"),
    "forward nan": ("greeks", {"--forward-usd": "nan"}, "--forward-usd"),
    "strike zero": ("greeks", {"--strike-usd": "0"}, "--strike-usd"),
    "strike infinite": ("greeks", {"--strike-usd": "inf"}, "--strike-usd"),
    "expired": ("greeks", {"--years": "-0.1"}, "--years"),
    "iv nan": ("greeks", {"--iv": "nan"}, "--iv"),
    "iv negative": ("greeks", {"--iv": "-0.5"}, "--iv"),
    "iv zero": ("greeks", {"--iv": "0"}, "--iv"),
    "rate nan": ("greeks", {"--rate": "nan"}, "--rate"),
    "unknown right": ("greeks", {"--right": "straddle"}, "call or put"),
    "no folder": ("greeks", {"--json": "/no/such/folder/greeks.json"}, "--json"),
    "no price": ("iv", {}, "neither"),
    "both prices": ("iv", {"--price-usd": "1", "--price-coin": "0.1"}, "both"),
    "price nan": ("iv", {"--price-usd": "nan"}, "finite price"),
}


@pytest.mark.parametrize(("command", "changed", "word"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_in_one_sentence(command: str, changed: dict[str, str], word: str) -> None:
    result = run(command, **({"--iv": "0.65", **changed} if command == "greeks" else changed))
    assert isinstance(result.exception, InputError)
    assert word in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_percent_for_decimal_is_called_a_unit_error() -> None:
    result = run("greeks", **{"--iv": "65"})
    assert isinstance(result.exception, UnitError)
    assert "0.65" in str(result.exception)


def test_json_into_a_file_beside_the_table(tmp_path: Path) -> None:
    target = tmp_path / "greeks.json"
    result = run("greeks", **{"--iv": "0.65", "--json": str(target)})
    assert "net delta" in result.stdout
    assert json.loads(target.read_text())["price_usd"] == pytest.approx(2559.74182777)


@pytest.mark.parametrize("command", ["greeks", "iv"])
def test_help_has_examples(command: str) -> None:
    app = typer.Typer(rich_markup_mode="rich")
    register(app)
    text = CliRunner().invoke(app, [command, "--help"]).stdout
    assert f"tailwag {command} --forward-usd" in text


def test_the_sentence_for_a_vol() -> None:
    assert iv_table({"iv": 0.65, "status": "ok"}) == "implied vol 65.000000 % a year (0.65)"
