"""The demo market: deterministic, labelled, and such that an options trader would take it for a market."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.market.snapshot import Snapshot
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.demo_chain import listed_expiries, skew_rho, smile_vol
from tailwag.units import NS_PER_DAY, NS_PER_YEAR


@pytest.fixture(scope="module")
def market() -> Snapshot:
    return demo()


def net_flow_coin(market: Snapshot) -> dict[str, float]:
    flow: dict[str, float] = {}
    for name, sign, amount in zip(market.trades.instrument, market.trades.taker_sign, market.trades.amount_coin):
        flow[name] = flow.get(name, 0.0) + float(sign * amount)
    return flow


def same(one: Snapshot, other: Snapshot) -> bool:
    parts = [(one.chain, other.chain), (one.futures, other.futures), (one.trades, other.trades), *zip(one.books, other.books)]
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for a, b in parts for f in fields(a)]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b for a, b in pairs)


class TestLabelsAndDeterminism:
    def test_it_says_that_it_is_synthetic(self, market: Snapshot) -> None:
        assert market.source.synthetic
        assert market.source.kind == "demo"
        assert "SYNTHETIC" in market.source.name
        assert str(market).startswith("SYNTHETIC")
        assert market.venues == ("demo",)

    def test_default_time_is_the_documented_one(self, market: Snapshot) -> None:
        assert format_time(market.as_of_ns) == "2026-09-15T14:30:00Z"
        assert market.as_of_ns == DEFAULT_AS_OF_NS == market.chain.as_of_ns

    def test_the_same_seed_gives_the_same_market_and_another_seed_another(self, market: Snapshot) -> None:
        assert same(market, demo())
        assert market.source == demo().source
        assert not same(market, demo(seed=8))
        assert demo(seed=8).source.sha256 != market.source.sha256

    def test_global_randomness_is_neither_used_nor_moved(self, market: Snapshot) -> None:
        np.random.seed(1)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        again = demo()
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
        assert same(market, again)

    def test_another_process_with_another_hash_seed_agrees(self, market: Snapshot) -> None:
        code = (
            "import sys; from tailwag.sources.demo import demo; m = demo(); print(m.source.sha256);"
            "print([name for name in ('numba', 'scipy', 'polars', 'ccxt') if name in sys.modules])"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"})
        assert answer.stdout.split("\n")[:2] == [market.source.sha256, "[]"]


class TestChain:
    def test_size(self, market: Snapshot) -> None:
        chain = market.chain
        assert 700 <= len(chain) <= 900
        assert len(set(chain.instrument.tolist())) == len(chain)
        assert np.unique(chain.expiry_ns).size == 12
        assert (chain.right == 1).sum() == (chain.right == -1).sum()

    def test_open_interest_and_missing_quotes_are_of_the_size_of_the_real_thing(self, market: Snapshot) -> None:
        chain = market.chain
        assert chain.open_interest_coin.sum() == pytest.approx(400_000, rel=1e-4)
        assert 0.10 < (chain.open_interest_contracts == 0).mean() < 0.22
        assert 0.04 < np.isnan(chain.bid_quoted).mean() < 0.11
        assert 0.005 < np.isnan(chain.ask_quoted).mean() < 0.03
        assert 20_000 < chain.volume_contracts.sum() < 50_000

    def test_nothing_is_quarantined(self, market: Snapshot) -> None:
        assert market.chain.usable.all()
        assert market.chain.priced.all()
        assert not market.degraded

    def test_quotes_stand_on_the_venue_tick_around_the_mark(self, market: Snapshot) -> None:
        chain = market.chain
        for quoted in (chain.bid_quoted, chain.ask_quoted):
            price = quoted[np.isfinite(quoted)]
            tick = np.where(price > 0.0055, 0.0005, 0.0001)
            assert np.abs(price / tick - np.round(price / tick)).max() < 1e-6
        both = np.isfinite(chain.bid_quoted) & np.isfinite(chain.ask_quoted)
        assert (chain.bid_quoted < chain.ask_quoted)[both].all()
        assert np.nanmean((chain.mark_quoted >= chain.bid_quoted)[both]) > 0.97
        assert np.nanmean((chain.mark_quoted <= chain.ask_quoted)[both]) > 0.97

    def test_spreads_widen_in_the_wings(self, market: Snapshot) -> None:
        chain = market.chain
        vol_spread = (chain.ask_quoted - chain.bid_quoted) * chain.underlying_usd / chain.vega_published
        years = (chain.expiry_ns - chain.as_of_ns) / NS_PER_YEAR
        distance = np.abs(np.log(chain.strike_usd / chain.underlying_usd)) / np.sqrt(years)
        near, far = distance < 0.2, (distance > 0.8) & (chain.right * (chain.strike_usd - chain.underlying_usd) > 0)
        assert 0.5 < np.nanmedian(vol_spread[near]) < 4.0  # vol points
        assert np.nanmedian(vol_spread[far]) > 1.3 * np.nanmedian(vol_spread[near])

    def test_term_structure_skew_and_contango(self, market: Snapshot) -> None:
        chain = market.chain
        forwards = []
        for expiry_ns in np.unique(chain.expiry_ns):
            rows = np.flatnonzero(chain.expiry_ns == expiry_ns)
            order = rows[np.argsort(np.abs(np.log(chain.strike_usd[rows] / chain.underlying_usd[rows])))]
            assert 0.44 < chain.iv[order[0]] < 0.60
            assert chain.iv[rows].max() > 1.2 * chain.iv[order[0]]
            assert np.ptp(chain.underlying_usd[rows]) == 0.0
            forwards.append(chain.underlying_usd[rows[0]])
        assert (np.diff(forwards) > 0).all()
        assert 0.0 < math.log(forwards[-1] / market.spot_usd) < 0.06

    def test_calls_and_puts_share_one_vol_and_parity_holds_on_the_marks(self, market: Snapshot) -> None:
        chain = market.chain
        row = {(int(e), k, int(r)): i for i, (e, k, r) in enumerate(zip(chain.expiry_ns, chain.strike_usd, chain.right))}
        for (expiry_ns, strike, right), call in row.items():
            put = row[(expiry_ns, strike, -right)]
            if right > 0:
                parity = chain.mark_quoted[call] - chain.mark_quoted[put] - (1.0 - strike / chain.underlying_usd[call])
                assert abs(parity) < 2e-8
                assert chain.iv[call] == chain.iv[put]
                assert chain.delta_published[call] - chain.delta_published[put] == pytest.approx(1.0, abs=2e-5)

    def test_published_delta_is_the_slope_of_the_mark(self, market: Snapshot) -> None:
        # independent of the generator's formula: Simpson integral of the lognormal density, price as an expectation
        chain = market.chain
        years = (chain.expiry_ns - chain.as_of_ns) / NS_PER_YEAR
        for i in range(0, len(chain), 37):
            nodes = np.linspace(-12, 12, 200_001)
            total = chain.iv[i] * math.sqrt(years[i])

            def price(forward: float, i: int = i, nodes: np.ndarray = nodes, total: float = total) -> float:
                end = forward * np.exp(total * nodes - 0.5 * total**2)
                paid = np.maximum(chain.right[i] * (end - chain.strike_usd[i]), 0.0)
                return float(np.trapezoid(paid * np.exp(-0.5 * nodes**2), nodes) / math.sqrt(2 * math.pi))

            forward, bump = chain.underlying_usd[i], 1e-4 * chain.underlying_usd[i]
            assert chain.mark_quoted[i] == pytest.approx(price(forward) / forward, abs=2e-8)
            assert chain.delta_published[i] == pytest.approx((price(forward + bump) - price(forward - bump)) / (2 * bump), abs=3e-5)

    def test_smiles_are_free_of_arbitrage(self) -> None:
        years = np.geomspace(0.5 / 365, 1.2, 60)
        grid = np.linspace(-1.6, 1.6, 1601)
        variances = np.array(
            [smile_vol(grid, np.full_like(grid, t), np.full_like(grid, skew_rho(np.array([t]))[0])) ** 2 * t for t in years]
        )
        slope = np.gradient(variances, grid, axis=1)
        bend = np.gradient(slope, grid, axis=1)
        durrleman = (1 - grid * slope / (2 * variances)) ** 2 - slope**2 / 4 * (1 / variances + 0.25) + bend / 2
        inner = np.abs(grid) < 1.5
        assert durrleman[:, inner].min() > 0.0
        assert (np.diff(variances[:, inner], axis=0) > 0).all()

    def test_open_interest_gathers_at_round_strikes_and_quarterlies(self, market: Snapshot) -> None:
        chain, held = market.chain, market.chain.open_interest_coin
        round_strike = np.mod(chain.strike_usd, 10_000) == 0
        assert held[round_strike].mean() > 2.0 * held[~round_strike].mean()
        quarterly = np.array(
            [
                datetime.fromtimestamp(e / 1e9, UTC).month % 3 == 0 and name[:3] != "SYN"
                for e, name in zip(chain.expiry_ns, chain.underlying_name)
            ]
        )
        assert held[quarterly].sum() > 0.5 * held.sum()


class TestExpiries:
    @pytest.mark.parametrize(
        "at", ["2026-09-15T14:30:00Z", "2026-09-18T08:00:00Z", "2026-09-25T07:59:59Z", "2027-01-01T00:00:00Z", "2028-02-29T23:00:00Z"]
    )
    def test_twelve_dates_at_eight_that_hold_the_next_day_weeks_months_and_quarters(self, at: str) -> None:
        at_ns = parse_time_ns(at)
        days = listed_expiries(at_ns)
        assert len(set(days)) == 12
        assert all(day.hour == 8 and day.timestamp() * 1e9 > at_ns for day in days)
        assert days[0].timestamp() * 1e9 - at_ns <= NS_PER_DAY
        quarterlies = [day for day in days if day.month % 3 == 0 and day.weekday() == 4 and day.day >= 24]
        assert len({(day.year, day.month) for day in quarterlies}) >= 4
        assert sum(day.weekday() == 4 for day in days) >= 9

    def test_the_market_can_be_made_at_any_time(self) -> None:
        last_seconds = demo(as_of_ns=parse_time_ns("2026-09-25T07:59:30Z"))
        assert last_seconds.chain.expiry_ns.min() - last_seconds.as_of_ns == 30 * 10**9
        assert np.isfinite(last_seconds.chain.iv).all()
        assert (last_seconds.trades.time_ns < last_seconds.as_of_ns).all()


class TestTrading:
    def test_futures(self, market: Snapshot) -> None:
        futures = market.futures
        assert futures.kind.tolist()[:2] == ["perp", "spot"]
        assert futures.expiry_ns[0] == 0
        assert futures.volume_24h_usd[0] == pytest.approx(25e9)
        assert np.isfinite(futures.funding_8h[0])
        assert abs(futures.mark_usd[0] / market.spot_usd - 1) < 1e-3
        for name, mark in zip(futures.instrument[2:], futures.mark_usd[2:]):
            forward = market.chain.underlying_usd[market.chain.underlying_name == name]
            assert forward.size
            assert mark == pytest.approx(forward[0], abs=0.01)

    def test_books_reach_beyond_three_per_cent_with_realistic_depth(self, market: Snapshot) -> None:
        within = {}
        for book in market.books:
            assert book.bid_price_usd[0] < book.ask_price_usd[0]
            for price, amount, step in ((book.bid_price_usd, book.bid_coin, -1), (book.ask_price_usd, book.ask_coin, 1)):
                away = np.abs(price / book.mid_usd - 1)
                assert price.size == 1000
                assert (step * np.diff(price) > 0).all()
                assert (amount > 0).all()
                assert away[-1] > 0.03
                within[(book.kind, step)] = float((price * amount)[away < 0.01].sum())
        assert all(30e6 < within[("perp", step)] < 60e6 for step in (-1, 1))
        assert all(10e6 < within[("spot", step)] < 60e6 for step in (-1, 1))

    def test_trades_are_in_order_before_the_snapshot_and_of_listed_options(self, market: Snapshot) -> None:
        trades = market.trades
        assert len(trades) == 3000
        assert (np.diff(trades.time_ns) >= 0).all()
        assert trades.time_ns[-1] < market.as_of_ns
        assert trades.time_ns[0] > market.as_of_ns - 7 * NS_PER_DAY
        assert set(trades.instrument.tolist()) <= set(market.chain.instrument.tolist())
        assert set(np.unique(trades.taker_sign)) == {-1, 1}
        assert len(set(trades.trade_id.tolist())) == len(trades)
        assert 0 < trades.is_block.sum() < 300
        assert 0 < trades.is_combo.sum() < 500
        assert 3 < (trades.liquidated != "").sum() < 60
        assert (trades.amount_coin[trades.is_block] >= 25.0).all()

    def test_net_flow_stays_within_open_interest(self, market: Snapshot) -> None:
        for seed in (7, 8, 9, 10, 11):
            other = market if seed == 7 else demo(seed=seed)
            held = dict(zip(other.chain.instrument.tolist(), other.chain.open_interest_coin.tolist()))
            assert all(abs(flow) <= held[name] + 1e-9 for name, flow in net_flow_coin(other).items())

    def test_takers_sell_calls_and_buy_puts_out_of_the_money(self, market: Snapshot) -> None:
        trades, chain = market.trades, market.chain
        row = {name: i for i, name in enumerate(chain.instrument)}
        rows = np.array([row[name] for name in trades.instrument])
        outside = chain.right[rows] * (chain.strike_usd[rows] - chain.underlying_usd[rows]) > 0
        calls = chain.right[rows] > 0
        assert (trades.taker_sign[outside & calls] > 0).mean() < 0.47
        assert (trades.taker_sign[outside & ~calls] > 0).mean() > 0.54


class TestArguments:
    def test_ether_has_a_demo_too(self) -> None:
        ether = demo(currency="ETH")
        assert ether.currency == ether.chain.currency == "ETH"
        assert 600 < len(ether.chain) < 1000
        assert ether.chain.priced.all()
        assert 2_000 < ether.spot_usd < 5_000

    def test_refusals_say_what_to_do(self) -> None:
        with pytest.raises(InputError, match="BTC, ETH"):
            demo(currency="DOGE")
        with pytest.raises(InputError, match="seed"):
            demo(seed=-1)
        with pytest.raises(InputError, match="nanoseconds"):
            demo(as_of_ns=1_789_482_600)
