"""The venue adapters alone: raw replies in, Snapshot out, every unit as the venue documents it, against the market the replies describe."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.sources.payloads import binance, bybit, deribit, okx
from tests.sources.payloads.market import AS_OF_NS, EXPIRIES, INDEX_USD, Quote, quotes

from tailwag.errors import EmptyChainError, FileFormatError, VenueError
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.venue_binance import snapshot_from_binance
from tailwag.sources.venue_bybit import snapshot_from_bybit
from tailwag.sources.venue_deribit import snapshot_from_deribit
from tailwag.sources.venue_okx import snapshot_from_okx

SOURCE = Source("test", "test")


@dataclass(frozen=True, slots=True)
class Case:
    """One venue: its adapter, its replies, how it spells a name, and what one of its option prices is worth in coin."""

    venue: str
    adapter: Callable[..., Snapshot]
    payloads: Callable[[], dict[str, Any]]
    name: Callable[[Quote], str]
    settlement: str
    coin_per_contract: float

    def read(self, **changes: Any) -> Snapshot:
        merged = {**copy.deepcopy(self.payloads()), **changes}
        return self.adapter({key: reply for key, reply in merged.items() if reply is not None}, currency="BTC", source=SOURCE)


DERIBIT = Case("deribit", snapshot_from_deribit, deribit.payloads, lambda q: q.deribit_name, "inverse", 1.0)
OKX = Case("okx", snapshot_from_okx, okx.payloads, okx.name, "inverse", 0.01)
BYBIT = Case("bybit", snapshot_from_bybit, bybit.payloads, bybit.name, "linear", 1.0)
BINANCE = Case("binance", snapshot_from_binance, binance.payloads, binance.name, "linear", 1.0)
EVERY = pytest.mark.parametrize("case", [DERIBIT, OKX, BYBIT, BINANCE], ids=lambda case: case.venue)


def rows_by_quote(case: Case, snapshot: Snapshot) -> list[tuple[Quote, int]]:
    row = {name: i for i, name in enumerate(snapshot.chain.instrument)}
    return [(quote, row[case.name(quote)]) for quote in quotes()]


@EVERY
class TestEveryVenueTellsTheSameMarket:
    def test_every_listed_option_is_there_with_its_contract(self, case: Case) -> None:
        chain = case.read().chain
        pairs = rows_by_quote(case, case.read())
        assert len(pairs) == 42
        for quote, i in pairs:
            assert chain.venue[i] == case.venue
            assert chain.right[i] == quote.right
            assert chain.strike_usd[i] == quote.strike
            assert chain.expiry_ns[i] == quote.expiry_ms * 1_000_000
            assert chain.settlement[i] == case.settlement

    def test_open_interest_in_coin_whatever_the_contract(self, case: Case) -> None:
        chain = case.read().chain
        for quote, i in rows_by_quote(case, case.read()):
            assert chain.coin_per_contract[i] == case.coin_per_contract
            assert chain.open_interest_coin[i] == pytest.approx(quote.open_interest_coin, rel=1e-12)

    def test_volatility_is_a_decimal(self, case: Case) -> None:
        chain = case.read().chain
        for quote, i in rows_by_quote(case, case.read()):
            if case is BINANCE and binance.without_vol(quote):
                assert np.isnan(chain.iv[i])
                assert chain.has(RowCode.IV_MISSING)[i]
                assert not chain.has(RowCode.IV_NONPOSITIVE)[i]
            else:
                assert chain.iv[i] == pytest.approx(quote.vol, abs=1e-9)

    def test_prices_in_the_settlement_unit_and_no_quote_where_there_is_none(self, case: Case) -> None:
        chain = case.read().chain
        for quote, i in rows_by_quote(case, case.read()):
            worth = quote.price_coin * (1.0 if case.settlement == "inverse" else quote.forward)
            if case.settlement == "linear" and worth < 1e-6:
                assert np.isnan(chain.mark_quoted[i])  # printed as 0.000000, which is no price
            else:
                assert chain.mark_quoted[i] == pytest.approx(worth, rel=1e-6, abs=1e-6 if case.settlement == "linear" else 2e-8)
            assert np.isnan(chain.bid_quoted[i]) == (quote.price_coin < 0.0005)
            assert chain.ask_quoted[i] > worth

    def test_published_delta_is_the_plain_one(self, case: Case) -> None:
        chain = case.read().chain
        if case is DERIBIT:  # its summaries carry no greeks
            assert np.isnan(chain.delta_published).all()
            return
        for quote, i in rows_by_quote(case, case.read()):
            assert chain.delta_published[i] == pytest.approx(quote.delta, abs=1e-7)
            assert chain.gamma_published[i] == pytest.approx(quote.gamma, abs=1e-8)

    def test_forward_index_and_time_are_the_venue_s_own(self, case: Case) -> None:
        snapshot = case.read()
        chain = snapshot.chain
        assert snapshot.as_of_ns == chain.as_of_ns == AS_OF_NS
        assert snapshot.spot_usd == INDEX_USD
        assert np.all(chain.index_usd == INDEX_USD)
        for quote, i in rows_by_quote(case, snapshot):
            if case is BINANCE:
                assert np.isnan(chain.underlying_usd[i])
            else:
                assert chain.underlying_usd[i] == pytest.approx(quote.forward, abs=1e-6)

    def test_estimated_delivery_only_where_the_venue_states_one(self, case: Case) -> None:
        estimated = case.read().chain.estimated_delivery_usd
        assert np.all(estimated == INDEX_USD) if case in (DERIBIT, BINANCE) else np.isnan(estimated).all()

    def test_nothing_is_quarantined_and_nothing_doubted(self, case: Case) -> None:
        snapshot = case.read()
        assert snapshot.chain.usable.all()
        assert snapshot.degraded == ()
        assert not snapshot.source.synthetic

    def test_the_perp_and_its_book_are_in_usd_and_coin(self, case: Case) -> None:
        snapshot = case.read()
        futures, (book,) = snapshot.futures, snapshot.books
        coin = {"deribit": 0.25, "okx": 0.3, "bybit": 0.2, "binance": 0.4}[case.venue]
        assert (book.kind, book.venue, book.complete) == ("perp", case.venue, False)
        assert abs(book.as_of_ns - AS_OF_NS) < 10**9
        assert book.bid_price_usd[0] == 96_512.0
        assert book.ask_price_usd[0] == 96_512.5
        assert book.bid_coin[:3] == pytest.approx([coin, 2 * coin, 3 * coin], rel=1e-6)
        assert futures.kind[0] == "perp"
        assert futures.expiry_ns[0] == 0
        assert abs(futures.mark_usd[0] / INDEX_USD - 1) < 1e-3

    def test_numbers_may_be_text_or_numbers_and_a_damaged_one_costs_its_row_only(self, case: Case) -> None:
        whole = case.read()
        damaged = case.read(**damaged_open_interest(case))
        assert damaged.chain.has(RowCode.OI_MISSING).sum() == 1
        assert len(damaged.chain) == len(whole.chain)
        assert any("open interest" in sentence for sentence in damaged.degraded)

    def test_a_foreign_name_is_kept_and_masked(self, case: Case) -> None:
        snapshot = case.read(**with_strange_name(case, "<script>alert(1)</script>"))
        assert snapshot.chain.has(RowCode.NAME_INVALID).sum() == 1
        assert int(snapshot.chain.usable.sum()) == len(snapshot.chain) - 1

    def test_a_missing_or_broken_book_costs_the_book_only(self, case: Case) -> None:
        assert case.read(book=None).books == ()
        broken = case.read(book=broken_book(case))
        assert broken.books == ()
        assert len([sentence for sentence in broken.degraded if "order book" in sentence]) == 1
        assert len(broken.chain) == len(case.read().chain)

    def test_no_option_of_the_currency_says_so(self, case: Case) -> None:
        with pytest.raises((EmptyChainError, FileFormatError), match=r"DOGE|XRP|option"):
            case.adapter(case.payloads(), currency="XRP", source=SOURCE)

    def test_another_shape_is_refused_in_words(self, case: Case) -> None:
        key = {"deribit": "options", "okx": "summary", "bybit": "tickers", "binance": "marks"}[case.venue]
        for shape in ({"data": "soon"}, {"result": 5}, {"surprise": []}):
            with pytest.raises((VenueError, FileFormatError)) as caught:
                case.adapter({**({} if case is DERIBIT else case.payloads()), key: shape}, currency="BTC", source=SOURCE)
            assert "\n" not in str(caught.value)


def damaged_open_interest(case: Case) -> dict[str, Any]:
    if case is DERIBIT:
        reply = deribit.options()
        reply["result"][4]["open_interest"] = None
        return {"options": reply}
    if case is OKX:
        reply = okx.open_interest()
        reply["data"][4]["oi"] = ""
        return {"open_interest": reply}
    if case is BYBIT:
        reply = bybit.tickers()
        reply["result"]["list"][4]["openInterest"] = "NaN"
        return {"tickers": reply}
    key = "open_interest_260918"
    return {key: [row for i, row in enumerate(binance.payloads()[key]) if i != 4]}


def with_strange_name(case: Case, name: str) -> dict[str, Any]:
    if case is DERIBIT:
        reply = deribit.options()
        reply["result"][4]["instrument_name"] = name
        return {"options": reply}
    if case is OKX:
        reply = okx.instruments()
        reply["data"].append({**reply["data"][0], "instId": name})
        return {"instruments": reply}
    if case is BYBIT:
        reply = bybit.tickers()
        reply["result"]["list"].append({**reply["result"]["list"][0], "symbol": name})
        return {"tickers": reply}
    marks = binance.marks()
    return {"marks": [*marks, {**marks[0], "symbol": name}]}


def broken_book(case: Case) -> Any:
    reply = copy.deepcopy(case.payloads()["book"])
    inner = reply["data"][0] if case is OKX else reply["result"] if case in (DERIBIT, BYBIT) else reply
    side = "a" if case is BYBIT else "asks"
    inner[side][0][0] = 90_000.0 if case is DERIBIT else "90000.0"  # below the best bid: crossed
    return reply


class TestDeribit:
    def test_linear_options_stand_beside_inverse_ones_and_other_currencies_do_not(self) -> None:
        chain = DERIBIT.read().chain
        (row,) = np.flatnonzero(chain.settlement == "linear")
        assert chain.instrument[row] == deribit.LINEAR_NAME
        assert chain.bid_quoted[row] == 2_000.0
        assert chain.open_interest_coin[row] == 3.25
        assert not any(name.startswith("SOL") for name in chain.instrument)

    def test_futures_count_usd(self) -> None:
        futures = DERIBIT.read().futures
        row = {name: i for i, name in enumerate(futures.instrument)}
        assert futures.open_interest_usd[row["BTC-PERPETUAL"]] == 1_012_000_000
        assert futures.volume_24h_usd[row["BTC-PERPETUAL"]] == 472_000_000
        assert futures.funding_8h[row["BTC-PERPETUAL"]] == 0.00008
        assert futures.mark_usd[row["BTC-25DEC26"]] == 97_849.0

    def test_trades_carry_sign_and_what_spoils_it(self) -> None:
        trades = DERIBIT.read().trades
        assert trades is not None
        assert trades.taker_sign.tolist() == [1, -1, -1]
        assert trades.amount_coin.tolist() == [1.5, 25.0, 0.4]
        assert trades.is_block.tolist() == [False, True, False]
        assert trades.liquidated.tolist() == ["", "", "T"]
        assert trades.iv.tolist() == pytest.approx([0.612] * 3)

    def test_broken_trades_cost_the_trades_only(self) -> None:
        snapshot = DERIBIT.read(trades={"result": {"trades": [{"price": "x"}]}})
        assert snapshot.trades is None
        assert any("trades" in sentence for sentence in snapshot.degraded)

    def test_without_index_the_rows_give_spot(self) -> None:
        assert DERIBIT.read(index=None).spot_usd == INDEX_USD


class TestOkx:
    def test_the_multiplier_is_read_not_assumed(self) -> None:
        bigger = okx.instruments()
        for row in bigger["data"]:
            row["ctMult"] = "0.1"
        assert OKX.read(instruments=bigger).chain.open_interest_coin.sum() == pytest.approx(10 * OKX.read().chain.open_interest_coin.sum())

    def test_without_a_multiplier_the_rows_are_masked_rather_than_counted_as_one(self) -> None:
        blank = okx.instruments()
        for row in blank["data"][:6]:
            row["ctVal"] = ""
        chain = OKX.read(instruments=blank).chain
        assert chain.has(RowCode.MULTIPLIER_MISSING).sum() == 6
        assert not chain.usable[:6].any()

    def test_an_expiry_that_contradicts_the_name_is_masked(self) -> None:
        moved = okx.instruments()
        moved["data"][0]["expTime"] = str(int(moved["data"][0]["expTime"]) + 86_400_000)
        assert OKX.read(instruments=moved).chain.has(RowCode.TIME_INVALID).sum() == 1

    def test_per_cent_vols_are_refused_as_another_unit(self) -> None:
        percent = okx.summary()
        for row in percent["data"]:
            row["markVol"] = str(100 * float(row["markVol"]))
        with pytest.raises(Exception, match="unit"):
            OKX.read(summary=percent)

    def test_four_hourly_funding_is_told_per_eight(self) -> None:
        assert OKX.read().futures.funding_8h[0] == pytest.approx(0.00008)

    def test_a_book_whose_contract_is_unknown_is_left_out(self) -> None:
        snapshot = OKX.read(perp_instrument=okx.perp(ctVal="100", ctValCcy="USD"))
        assert snapshot.books == ()
        assert any("contract size" in sentence for sentence in snapshot.degraded)

    def test_perp_volume_and_open_interest_in_usd(self) -> None:
        futures = OKX.read().futures
        assert futures.volume_24h_usd[0] == pytest.approx(93_000 * 96_515.5)
        assert futures.open_interest_usd[0] == 2_605_900_000

    def test_a_row_without_open_interest_is_missing_not_zero(self) -> None:
        fewer = okx.open_interest()
        del fewer["data"][:2]
        chain = OKX.read(open_interest=fewer).chain
        assert chain.has(RowCode.OI_MISSING).sum() == 2

    def test_without_index_spot_is_a_forward_and_says_so(self) -> None:
        snapshot = OKX.read(index=None)
        assert snapshot.spot_usd == pytest.approx(96_548.43, abs=0.01)
        assert any("no index price" in sentence for sentence in snapshot.degraded)


class TestBybit:
    def test_both_collaterals_of_one_contract_are_two_contracts(self) -> None:
        tickers = bybit.tickers()
        usdt = next(row for row in tickers["result"]["list"] if row["symbol"].endswith("-USDT"))
        tickers["result"]["list"].append({**usdt, "symbol": usdt["symbol"].removesuffix("-USDT")})
        chain = BYBIT.read(tickers=tickers).chain
        assert len(chain) == 43
        assert not chain.has(RowCode.ALIAS | RowCode.DUPLICATE).any()

    def test_without_the_list_names_decide_and_all_stays_linear(self) -> None:
        chain = BYBIT.read(instruments_0=None, instruments_1=None).chain
        assert set(chain.settlement.tolist()) == {"linear"}
        assert chain.usable.all()

    def test_an_option_that_is_listed_but_not_quoted_is_kept_without_open_interest(self) -> None:
        tickers = bybit.tickers()
        del tickers["result"]["list"][0]
        chain = BYBIT.read(tickers=tickers).chain
        assert len(chain) == 42
        assert chain.has(RowCode.OI_MISSING).sum() == 1

    def test_a_predicted_delivery_price_is_kept_when_there_is_one(self) -> None:
        tickers = bybit.tickers()
        tickers["result"]["list"][0]["predictedDeliveryPrice"] = "96500.5"
        estimated = BYBIT.read(tickers=tickers).chain.estimated_delivery_usd
        assert estimated[0] == 96_500.5
        assert np.isnan(estimated[1:]).all()

    def test_a_reply_without_time_is_refused(self) -> None:
        tickers = bybit.tickers()
        del tickers["time"]
        with pytest.raises(VenueError, match="when it was made"):
            BYBIT.read(tickers=tickers)


class TestBinance:
    def test_unit_is_the_coin_per_contract(self) -> None:
        info = binance.exchange_info()
        for row in info["optionSymbols"]:
            row["unit"] = 0.1
        assert BINANCE.read(exchange_info=info).chain.open_interest_coin.sum() == pytest.approx(
            0.1 * BINANCE.read().chain.open_interest_coin.sum()
        )

    def test_an_expiry_without_open_interest_is_named_not_zero(self) -> None:
        snapshot = BINANCE.read(open_interest_261225=None)
        missing = snapshot.chain.has(RowCode.OI_MISSING)
        assert missing.sum() == 14
        assert set(snapshot.chain.expiry_ns[missing]) == {int(EXPIRIES[2].timestamp()) * 10**9}
        assert any("open interest" in sentence for sentence in snapshot.degraded)

    def test_a_truly_negative_vol_is_not_taken_for_missing(self) -> None:
        marks = binance.marks()
        marks[0]["markIV"] = "-0.5"
        assert BINANCE.read(marks=marks).chain.has(RowCode.IV_NONPOSITIVE).sum() == 1

    def test_the_forward_comes_from_put_call_parity(self) -> None:
        from tailwag.surface import forward_curve

        snapshot = BINANCE.read()
        curve = forward_curve(snapshot.chain, snapshot.futures)
        wanted = sorted({quote.forward for quote in quotes()})
        assert curve.forward_usd == pytest.approx(wanted, rel=1e-4)
        assert set(curve.source) == {"put-call-parity"}

    def test_without_index_the_exercise_price_of_the_rows_stands_in(self) -> None:
        assert BINANCE.read(index=None).spot_usd == INDEX_USD

    def test_perp_open_interest_is_counted_at_its_mark(self) -> None:
        assert BINANCE.read().futures.open_interest_usd[0] == pytest.approx(80_000.125 * 96_510.5)
