"""Every number of ``tailwag measure`` against a second, plain opinion on the same file: seeded chains, all rules, all laws."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.cli.chains import deribit_date, random_chain, save
from tests.cli.command import measured
from tests.cli.oracle import (
    RULES,
    YEAR_MS,
    Held,
    Market,
    black,
    option,
    read_market,
    square_root_depth,
    time_text,
    two_option_flip,
)

SEEDS = (1, 2, 3, 4)
LEVELS = 13
DEPTH, SHARE, MOVE = 37.5e6, 0.65, 1.7


def close(found: float | None, wanted: float, *, scale: float = 0.0) -> None:
    """Relative 1e-9, or lost in the rounding of a sum of this unsigned size."""
    assert found is not None
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12 * scale)


class Case:
    """One file measured once by the command and once by the oracle."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rule = sorted(RULES)[(3 * seed) % len(RULES)]
        self.numeraire = "coin" if seed % 2 else "usd"
        currency = "ETH" if seed == 3 else "BTC"
        self.path = save(random_chain(seed, currency=currency), folder / f"chain{seed}.json")
        self.market: Market = read_market(self.path)
        self.held = Held(self.market, self.rule)
        self.document: dict[str, Any] = measured(
            *(self.path, "--currency", currency, "--rule", self.rule, "--numeraire", self.numeraire),
            *("--spot-range", "0.7:1.35", "--spot-levels", LEVELS),
            *("--liquidity", "given", "--depth-usd-per-pct", DEPTH, "--hedge-share", SHARE, "--move-pct", MOVE),
        )


@pytest.fixture(scope="module", params=SEEDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("chains"), request.param)


def test_spot_time_and_open_interest(case):
    document, market = case.document, case.market
    assert document["spot_usd"] == market.spot
    assert document["as_of"] == time_text(market.at_ms)
    known = [row.coins for row in market.rows if math.isfinite(row.coins)]
    assert document["chain"]["open_interest_coin"] == pytest.approx(math.fsum(known), rel=1e-15)
    assert document["chain"]["instruments"] == len(market.rows)
    masked = {share["code"]: share for share in document["chain"]["masked"]}
    assert masked["iv_nonpositive"]["instruments"] == 1
    assert masked["oi_missing"]["instruments"] == 1
    lost = math.fsum(row.coins for row in market.rows if row.masked and math.isfinite(row.coins)) / math.fsum(known)
    assert document["chain"]["masked_open_interest_share"] == pytest.approx(lost, rel=1e-12)
    assert document["status"] == "degraded"


def test_totals(case):
    scales = case.held.scales()
    for name, wanted in case.held.measures(numeraire=case.numeraire).items():
        close(case.document["exposure"][name], wanted, scale=scales[name])


def test_by_expiry(case):
    scales, market = case.held.scales(), case.market
    shown = case.document["exposure"]["by_expiry"]
    expiries = sorted({row.expiry_ms for row in market.rows})
    assert [part["expiry"] for part in shown] == [time_text(expiry) for expiry in expiries]
    for part, expiry in zip(shown, expiries, strict=True):
        rows = [row for row in market.rows if row.expiry_ms == expiry]
        for name, wanted in case.held.measures(lambda row, at=expiry: row.expiry_ms == at, numeraire=case.numeraire).items():
            close(part[name], wanted, scale=scales[name])
        close(part["forward_usd"], rows[0].forward)
        close(part["open_interest_coin"], math.fsum(row.coins for row in rows if math.isfinite(row.coins)))


def test_by_strike_by_right_by_venue(case):
    scales, exposure = case.held.scales(), case.document["exposure"]
    for part in exposure["by_strike"]:
        strike = part["strike_usd"]
        sums = case.held.measures(lambda row, at=strike: row.strike == at, numeraire=case.numeraire)
        if part["gex_usd_per_pct"] is None:
            assert not any(row.strike == strike for row in case.held.rows)
            continue
        for name, wanted in sums.items():
            close(part[name], wanted, scale=scales[name])
        for side, name in ((1, "call_gex_usd_per_pct"), (-1, "put_gex_usd_per_pct")):
            wanted = case.held.measures(lambda row, at=strike, right=side: row.strike == at and row.right == right)["gex_usd_per_pct"]
            close(part[name], wanted, scale=scales["gex_usd_per_pct"])
    assert {part["strike_usd"] for part in exposure["by_strike"]} >= {row.strike for row in case.held.rows}
    for part in exposure["by_right"]:
        right = {"call": 1, "put": -1}[part["right"]]
        for name, wanted in case.held.measures(lambda row, side=right: row.right == side, numeraire=case.numeraire).items():
            close(part[name], wanted, scale=scales[name])
    (venue,) = exposure["by_venue"]
    close(venue["gex_usd_per_pct"], exposure["gex_usd_per_pct"])


def test_profile_and_gain_over_spot(case):
    scale = case.held.scales()["gex_usd_per_pct"]
    profile, spot = case.document["profile"], case.market.spot
    assert len(profile) == LEVELS
    for i, point in enumerate(profile):
        assert point["spot_usd"] == pytest.approx(spot * (0.7 + 0.65 * i / (LEVELS - 1)), rel=1e-12)
        wanted = case.held.gex_at(point["spot_usd"])
        close(point["gex_usd_per_pct"], wanted, scale=scale)
        close(point["gain"], -wanted * SHARE / DEPTH, scale=scale * SHARE / DEPTH)


def test_flips(case):
    shown = case.document["levels"]["flips"]
    wanted = case.held.flips(0.7, 1.35, points=701)
    assert [flip["crossing"] for flip in shown] == [crossing for _, crossing in wanted]
    for flip, (spot, _) in zip(shown, wanted, strict=True):
        assert flip["spot_usd"] == pytest.approx(spot, rel=1e-9)
    status = case.document["levels"]["flip_status"]
    assert status == ("none" if not wanted else "many" if len(wanted) > 1 else status)
    if len(wanted) == 1:
        cell = 0.65 * case.market.spot / (LEVELS - 1)
        outermost = not 0.7 * case.market.spot + cell <= wanted[0][0] <= 1.35 * case.market.spot - cell
        assert status == ("edge" if outermost else "one")
    assert case.document["levels"]["flip_stability"] == (0.0 if wanted else None)


def test_walls_and_max_pain(case):
    levels = case.document["levels"]
    for name, right in (("call_wall_usd", 1), ("put_wall_usd", -1), ("absolute_gamma_strike_usd", None)):
        by_strike = case.held.strikes(right)
        assert levels[name] == max(by_strike, key=lambda strike: by_strike[strike])
    pains = case.held.max_pain()
    assert {pain["expiry"]: pain["strike_usd"] for pain in levels["max_pain"]} == {time_text(at): strike for at, strike in pains.items()}


def test_flows_by_full_repricing(case):
    scales, rows = case.held.scales(), case.document["flows"]
    asked = {(row["spot_move_pct"], row["vol_move_volpt"], row["hours"]) for row in rows}
    assert asked == {(m, v, h) for m in (-10, -5, -3, -1, 0, 1, 3, 5, 10) for v in (-5, 0, 5) for h in (0, 1, 24)}
    gross = scales["delta_usd"]
    for row in rows:
        wanted = case.held.flow(row["spot_move_pct"], row["vol_move_volpt"], row["hours"])
        for name in ("buy_coin", "buy_usd", "gamma_usd", "vanna_usd", "charm_usd"):
            close(row[name], wanted[name], scale=gross)
        parts = [wanted[name] for name in ("gamma_usd", "vanna_usd", "charm_usd")]
        close(row["residual_usd"], wanted["buy_usd"] - math.fsum(parts), scale=10 * gross + 10 * math.fsum(map(abs, parts)))


def test_gain_and_break_even(case):
    gain, gex = case.document["gain"], case.held.measures()["gex_usd_per_pct"]
    close(gain["value"], -gex * SHARE / DEPTH)
    close(gain["with_vanna"], -gex * SHARE / DEPTH)  # sticky strike: the smile stands still
    close(gain["break_even_depth_usd_per_pct"], abs(gex) * SHARE)
    assert gain["depth_usd_per_pct"] == DEPTH
    if gain["value"] >= 1:
        assert gain["amplification"] is None
        assert gain["regime"] == "runaway"
    else:
        close(gain["amplification"], 1 / (1 - gain["value"]))
        if "mixture" not in case.rule:
            assert gain["regime"] == ("amplifying" if gex < 0 else "damping")
    parts = {part["expiry"]: part["value"] for part in gain["by_expiry"]}
    for part in case.document["exposure"]["by_expiry"]:
        close(parts[part["expiry"]], -part["gex_usd_per_pct"] * SHARE / DEPTH, scale=1e-6)
    up, down = (case.held.flow(move, 0, 0)["buy_usd"] * SHARE / DEPTH / move for move in (MOVE, -MOVE))
    close(gain["value_repriced_up"], up, scale=1e6)
    close(gain["value_repriced_down"], down, scale=1e6)


def test_calendar_and_forward_view(case):
    held, market = case.held, case.market
    expiries = [event for event in case.document["calendar"] if event["event"] == "expiry"]
    assert [event["at"] for event in expiries] == [time_text(at) for at in sorted({row.expiry_ms for row in market.rows})]
    for event, part in zip(expiries, case.document["exposure"]["by_expiry"], strict=True):
        close(event["gross_gex_removed_usd_per_pct"], part["gross_gex_usd_per_pct"])
    scale = held.scales()["gex_usd_per_pct"]
    views = case.document["forward"]
    wanted_hours = {1.0, 6.0, 24.0} | {(at - market.at_ms) / 3_600_000 for at in {row.expiry_ms for row in market.rows}}
    assert {round(view["hours"], 9) for view in views} == {round(hours, 9) for hours in wanted_hours}
    for view in views:
        gex = held.repriced(lambda g: g.gamma, hours=view["hours"]) * market.spot**2 / 100
        close(view["gex_usd_per_pct"], gex, scale=10 * scale)
        close(view["gain"], -gex * SHARE / DEPTH, scale=10 * scale / DEPTH)
        close(view["gross_gex_usd_per_pct"], held.gross_at(hours=view["hours"]))


def test_flips_after_each_expiry(case):
    for view in case.document["forward"]:
        if not view["event"].startswith("after expiry"):
            continue
        wanted = [spot for spot, _ in case.held.flips(0.7, 1.35, points=401, hours=view["hours"])]
        assert view["flips_usd"] == pytest.approx(wanted, rel=1e-9)


def test_the_book_block_is_the_file(case):
    book, rows = case.document["book"], case.market.rows
    assert book["instrument"] == [row.name for row in rows]
    assert book["right"] == ["call" if row.right > 0 else "put" for row in rows]
    assert book["settlement"] == ["linear" if row.linear else "inverse" for row in rows]
    held = dict(zip((row.name for row in case.held.rows), case.held.position, strict=True))
    for row, position, iv, source in zip(rows, book["position_coin"], book["iv"], book["iv_source"], strict=True):
        if row.masked:
            assert position is None
            continue
        assert position == pytest.approx(held[row.name], rel=1e-12)
        assert iv == pytest.approx(row.iv, rel=1e-15)
        assert source == "venue"


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule(rule, tmp_path):
    path = save(random_chain(11), tmp_path / "chain.json")
    held = Held(read_market(path), rule)
    document = measured(
        path, "--rule", rule, "--daily-volume-usd", 8e9, "--daily-vol", 0.027, "--impact-y", 0.8, "--move-pct", 2.5, "--hedge-share", 0.4
    )
    scales = held.scales()
    for name, wanted in held.measures().items():
        close(document["exposure"][name], wanted, scale=scales[name])
    gain, gex = document["gain"], held.measures()["gex_usd_per_pct"]
    depth = square_root_depth(abs(gex) * 0.4 * 2.5, daily_volume_usd=8e9, daily_vol=0.027, y=0.8)
    assert gain["law"] == "square-root"
    close(gain["depth_usd_per_pct"], depth)
    close(gain["value"], -gex * 0.4 / depth)
    close(gain["break_even_depth_usd_per_pct"], abs(gex) * 0.4)


def test_without_a_rule_the_signs_decide_the_regime(tmp_path):
    path = save(random_chain(12), tmp_path / "chain.json")
    document = measured(path)
    market = read_market(path)
    wanted = [Held(market, rule).measures()["gex_usd_per_pct"] for rule in ("long-calls-short-puts", "customers-sell-otm")]
    shown = document["gain"]["by_rule"]
    assert [part["rule"] for part in shown] == ["long-calls-short-puts", "customers-sell-otm"]
    for part, gex in zip(shown, wanted, strict=True):
        close(part["gex_usd_per_pct"], gex)
    close(document["exposure"]["gex_usd_per_pct"], wanted[0])
    agree = (wanted[0] > 0) == (wanted[1] > 0)
    assert (document["gain"]["regime"] == "undetermined") is not agree
    assert ("sign undetermined" in document["headline"][0]) is not agree
    assert document["gain"]["value"] is None
    assert document["gain"]["reason"]


@pytest.mark.parametrize(("first", "second"), [(400.0, 400.0), (900.0, 300.0), (150.0, 600.0)])
@pytest.mark.parametrize("linear", [False, True])
def test_two_options_flip_where_the_closed_form_says(first, second, linear, tmp_path):
    """Long calls at the upper strike, short puts at the lower one, one vol, forward = spot (02-theory T13-I at other parameters)."""
    at = dt.datetime(2026, 5, 11, 20, 30, tzinfo=dt.UTC)
    expires = dt.datetime(2026, 6, 26, 8, tzinfo=dt.UTC)
    vol, spot, base = 0.47, 81_250.0, "BTC_USDC" if linear else "BTC"
    name = f"{base}-{deribit_date(expires)}"
    shared = {
        "creation_timestamp": round(at.timestamp() * 1000),
        "mark_iv": 100 * vol,
        "mark_price": 900.0 if linear else 0.011,
        "underlying_price": spot,
        "estimated_delivery_price": spot,
    }
    rows = [option(f"{name}-94000-C", open_interest=first, **shared), option(f"{name}-68000-P", open_interest=second, **shared)]
    path = save(rows, tmp_path / "two.json")
    years = (expires - at).total_seconds() * 1000 / YEAR_MS
    wanted = two_option_flip(strikes=(94_000.0, 68_000.0), coins=(first, second), vol=vol, years=years)
    levels = measured(path, "--rule", "long-calls-short-puts")["levels"]
    assert levels["flip_status"] == "one"
    assert levels["flips"][0]["spot_usd"] == pytest.approx(wanted, rel=1e-10)
    assert levels["flips"][0]["crossing"] == "negative-to-positive"
    assert (levels["call_wall_usd"], levels["put_wall_usd"]) == (94_000.0, 68_000.0)


def test_a_stated_beta_adds_vanna_to_the_gain(tmp_path):
    path = save(random_chain(13), tmp_path / "chain.json")
    held = Held(read_market(path), "short-all")
    document = measured(path, "--rule", "short-all", "--liquidity", "given", "--depth-usd-per-pct", 2e8, "--spot-vol-beta", "-0.6")
    sums = held.measures()
    close(document["gain"]["with_vanna"], -(sums["gex_usd_per_pct"] - 0.6 * sums["vanna_usd_per_volpt"]) / 2e8)
    close(document["gain"]["value"], -sums["gex_usd_per_pct"] / 2e8)


def test_an_hour_ahead_of_the_settlement_average(tmp_path):
    """At 06:45 an hour ahead lies inside the 07:30 to 08:00 average: the greeks there are those of the average."""
    at = dt.datetime(2026, 4, 8, 6, 45, tzinfo=dt.UTC)
    rows = random_chain(14, as_of=at, damaged=False)
    today = deribit_date(at)
    first = rows[0]["instrument_name"].split("-")[1]
    rows = [{**row, "instrument_name": row["instrument_name"].replace(f"-{first}-", f"-{today}-")} for row in rows]
    path = save(rows, tmp_path / "chain.json")
    held = Held(read_market(path), "short-all")
    document = measured(path, "--rule", "short-all")
    (view,) = (view for view in document["forward"] if view["hours"] == 1.0)
    close(view["gex_usd_per_pct"], held.repriced(lambda g: g.gamma, hours=1.0) * held.market.spot**2 / 100)
    gross = held.scales()["delta_usd"]
    for row in document["flows"]:
        close(row["buy_usd"], held.flow(row["spot_move_pct"], row["vol_move_volpt"], row["hours"])["buy_usd"], scale=gross)


@pytest.mark.parametrize(("dynamics", "ratio"), [("sticky-moneyness", 0.0), ("ssr:0.4", 0.4), ("ssr:1.7", 1.7)])
def test_the_smile_moves_with_spot_as_the_dynamics_say(dynamics, ratio, tmp_path):
    """Volatility of each row is its own plus what the published SVI slice changes by: smile(k - (1 - R) dx) - smile(k)."""
    path = save(random_chain(16, damaged=False), tmp_path / "chain.json")
    market = read_market(path)
    document = measured(
        path, "--rule", "short-all", "--dynamics", dynamics, "--spot-range", "0.9:1.12", "--spot-levels", 7, "--depth-usd-per-pct", 1e8
    )
    slices = {smile["expiry"]: smile for smile in document["surface"]["smiles"]}
    assert {smile["model"] for smile in slices.values()} <= {"svi", "svi-repaired"}

    def vol(row: Any, k: float) -> float:
        smile = slices[time_text(row.expiry_ms)]
        p = smile["parameters"]
        return math.sqrt((p["a"] + p["b"] * (p["rho"] * (k - p["m"]) + math.hypot(k - p["m"], p["sigma"]))) / smile["years"])

    def gamma(row: Any, dx: float) -> float:
        k = math.log(row.strike / row.forward)
        here, there = vol(row, k), vol(row, k - (1 - ratio) * dx)
        low, high = 0.5 * min(row.iv, there), 2.0 * max(row.iv, there)
        iv = min(max(row.iv + there - here, low), high)
        return black(row.right, row.forward * math.exp(dx), row.strike, (row.expiry_ms - market.at_ms) / YEAR_MS, iv).gamma

    for point in document["profile"]:
        dx = math.log(point["spot_usd"] / market.spot)
        wanted = -math.fsum(row.coins * gamma(row, dx) for row in market.live()) * point["spot_usd"] ** 2 / 100
        assert point["gex_usd_per_pct"] == pytest.approx(wanted, rel=1e-7)
    step = 1e-5
    beta = {
        row.name: (vol(row, k + step) - vol(row, k - step)) / (2 * step) * (ratio - 1)
        for row in market.live()
        for k in [math.log(row.strike / row.forward)]
    }
    greeks = {
        row.name: black(row.right, row.forward, row.strike, (row.expiry_ms - market.at_ms) / YEAR_MS, row.iv) for row in market.live()
    }
    extra = -math.fsum(row.coins * greeks[row.name].vanna * beta[row.name] for row in market.live()) * market.spot / 100
    gex = document["exposure"]["gex_usd_per_pct"]
    assert document["gain"]["with_vanna"] == pytest.approx(-(gex + extra) / 1e8, rel=1e-6)
    assert document["gain"]["with_vanna"] != pytest.approx(document["gain"]["value"], rel=1e-3)


def test_depth_is_walked_from_a_saved_order_book(tmp_path):
    """A perp's ladder saved beside the chain: the flow that 1 % forces walks it, and the mean of both sides is the depth."""
    rows = random_chain(17, damaged=False)
    spot = read_market(save(rows, tmp_path / "chain.json")).spot
    mid = round(spot)
    bids = [[mid - 5 - 40 * level, 2_000_000 + 130_000 * level] for level in range(60)]
    asks = [[mid + 5 + 40 * level, 1_500_000 + 90_000 * level] for level in range(60)]
    book = {
        "instrument_name": "BTC-PERPETUAL",
        "timestamp": rows[0]["creation_timestamp"],
        "bids": bids,
        "asks": asks,
        "mark_price": mid,
        "state": "open",
    }
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"summaries": {"result": rows}, "book": {"result": book}}))
    document = measured(path, "--rule", "customers-buy:0.8", "--hedge-share", 0.2)
    held = Held(read_market(tmp_path / "chain.json"), "customers-buy:0.8")
    flow = abs(held.measures()["gex_usd_per_pct"]) * 0.2
    depths = []
    for side in (bids, asks):  # inverse perp: amounts are dollars
        left = flow
        for price, size in side:
            left -= size
            if left <= 0:
                depths.append(flow / abs(price / mid - 1) / 100)
                break
    assert len(depths) == 2
    gain = document["gain"]
    assert gain["law"] == "book"
    close(gain["by_law"][0]["bid_usd_per_pct"], depths[0])
    close(gain["by_law"][0]["ask_usd_per_pct"], depths[1])
    close(gain["depth_usd_per_pct"], sum(depths) / 2)
    close(gain["value"], flow / (sum(depths) / 2))
    wide = measured(path, "--rule", "customers-buy:0.8", "--move-pct", 8, "--liquidity", "book")["gain"]
    assert wide["value"] is None
    assert "reach" in wide["reason"]
