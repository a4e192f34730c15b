"""The numbered faults of bad input, each as a file or a word that a user could type: a coded mask and exit 0, or one sentence and exit 2."""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import os
import pickle
import random
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.cli.chains import random_chain
from tests.cli.command import measured, refused, strict, tailwag
from tests.cli.oracle import averaging, black
from tests.sources.chain_files import csv_bytes, parquet_bytes
from tests.sources.chain_files import rows as chain_rows
from tests.sources.deribit_replies import AS_OF, AS_OF_MS, INDEX_USD, reply, summaries

Record = dict[str, Any]
CHAIN = summaries()
VICTIM = next(place for place, row in enumerate(CHAIN) if row["instrument_name"] == "BTC-27MAR26-70000-C")
RULE = ("--rule", "long-calls-short-puts")
EXPIRY_MS = int(datetime(2026, 3, 21, 8, tzinfo=UTC).timestamp() * 1000)
FIRST = "21MAR26"


@pytest.fixture
def file(tmp_path: Path):
    """Write rows, a JSON value or bytes to a file."""

    def write(content: Any, name: str = "chain.json") -> Path:
        path = tmp_path / name
        path.write_bytes(
            content if isinstance(content, bytes) else json.dumps(reply(content) if isinstance(content, list) else content).encode()
        )
        return path

    return write


def changed(**fields: Any) -> list[Record]:
    """The chain with one option's fields replaced."""
    return [{**row, **fields} if place == VICTIM else dict(row) for place, row in enumerate(CHAIN)]


def added(**fields: Any) -> list[Record]:
    """The chain with one more row: the same option, fields replaced."""
    return [*CHAIN, {**CHAIN[VICTIM], **fields}]


def masks(document: Record) -> dict[str, int]:
    """Instruments under each mask."""
    return {share["code"]: share["instruments"] for share in document["chain"]["masked"]}


def warnings(document: Record) -> dict[str, int]:
    """Instruments under each note."""
    return {share["code"]: share["instruments"] for share in document["chain"]["warnings"]}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Record:
    """The chain with nothing wrong."""
    path = tmp_path_factory.mktemp("sound") / "chain.json"
    path.write_text(json.dumps(reply(CHAIN)))
    document = measured(path, *RULE)
    assert document["status"] == "ok"
    assert masks(document) == {}
    return document


def gross_without_victim(sound: Record) -> float:
    """Gross GEX less that of the option that the faults hit."""
    row = CHAIN[VICTIM]
    years = (datetime(2026, 3, 27, 8, tzinfo=UTC) - AS_OF).total_seconds() / (365 * 86400)
    gamma = black(1, row["underlying_price"], 70_000.0, years, row["mark_iv"] / 100).gamma
    return sound["exposure"]["gross_gex_usd_per_pct"] - row["open_interest"] * gamma * INDEX_USD**2 / 100


class TestNumbers:
    def test_1_a_past_expiry_is_masked_and_no_longer_open_interest(self, file, sound):
        rows = [{**row, "instrument_name": row["instrument_name"].replace(FIRST, "19MAR26")} for row in CHAIN]
        document = measured(file(rows), *RULE)
        gone = math.fsum(row["open_interest"] for row in CHAIN if FIRST in row["instrument_name"])
        assert masks(document) == {"expired": 18}
        assert document["chain"]["open_interest_coin"] == pytest.approx(sound["chain"]["open_interest_coin"] - gone, rel=1e-12)
        assert document["exposure"]["gross_gex_usd_per_pct"] < sound["exposure"]["gross_gex_usd_per_pct"]
        assert document["chain"]["masked_open_interest_share"] == pytest.approx(gone / sound["chain"]["open_interest_coin"], rel=1e-12)
        assert [position for position in document["book"]["position_coin"][:18] if position is not None] == []

    def test_2_at_the_instant_of_expiry_delta_is_intrinsic_and_gamma_is_none(self, file):
        rows = [{**row, "creation_timestamp": EXPIRY_MS} for row in CHAIN if FIRST in row["instrument_name"]]
        document = measured(file(rows), "--rule", "long-all")
        exposure = document["exposure"]
        assert warnings(document)["at_expiry"] == 18
        assert (exposure["gex_usd_per_pct"], exposure["vega_usd_per_volpt"], exposure["charm_usd_per_day"]) == (0.0, 0.0, 0.0)
        wanted = 0.0
        for row in rows:
            _, _, strike, letter = row["instrument_name"].split("-")
            right, away = (1, INDEX_USD - float(strike)) if letter == "C" else (-1, float(strike) - INDEX_USD)
            wanted += right * row["open_interest"] * (0.5 if away == 0 else float(away > 0))
        assert exposure["delta_usd"] == pytest.approx(wanted * INDEX_USD, rel=1e-12)
        assert document["levels"]["flips"] == []

    @pytest.mark.parametrize("left_ms", [1_000, 60_000, 20 * 60_000])
    def test_3_inside_the_settlement_average_greeks_are_those_of_the_average(self, file, left_ms):
        """The running mean differs from the index: delta and gamma follow theory T6, exactly, at any time left."""
        mean = INDEX_USD * 1.0007
        rows = [
            {
                **row,
                "creation_timestamp": EXPIRY_MS - left_ms,
                "estimated_delivery_price": mean if FIRST in row["instrument_name"] else INDEX_USD,
            }
            for row in CHAIN
        ]
        document = measured(file(rows), "--rule", "long-all")
        assert masks(document) == {}
        (first,) = (part for part in document["exposure"]["by_expiry"] if part["expiry"].startswith("2026-03-21"))
        gamma, delta = [], []
        for row in rows:
            if FIRST not in row["instrument_name"]:
                continue
            _, _, strike, letter = row["instrument_name"].split("-")
            greeks = averaging(1 if letter == "C" else -1, INDEX_USD, float(strike), left_ms, row["mark_iv"] / 100, mean)
            gamma.append(row["open_interest"] * greeks.gamma)
            delta.append(row["open_interest"] * greeks.delta)
        assert first["gex_usd_per_pct"] == pytest.approx(math.fsum(gamma) * INDEX_USD**2 / 100, rel=1e-9, abs=1e-6)
        assert first["delta_usd"] == pytest.approx(math.fsum(delta) * INDEX_USD, rel=1e-9, abs=1e-3)

    def test_3_without_a_delivery_price_the_window_is_masked(self, file):
        rows = [{**row, "creation_timestamp": EXPIRY_MS - 60_000} for row in CHAIN]
        for row in rows:
            row["index_price"] = row.pop("estimated_delivery_price")
        document = measured(file(rows), *RULE)
        assert masks(document) == {"settling": 18}
        assert document["chain"]["masked_open_interest_share"] == pytest.approx(1 / 3, rel=1e-9)

    def test_3_a_strike_with_most_of_the_gamma_is_a_pin_risk(self, file):
        rows = [{**row, "creation_timestamp": EXPIRY_MS - 31 * 60_000} for row in CHAIN]
        document = measured(file(rows), *RULE)
        years = 31 * 60_000 / (365 * 86_400_000)
        wanted = {
            row["instrument_name"]: row["open_interest"] * black(1, row["underlying_price"], 70_000.0, years, row["mark_iv"] / 100).gamma
            for row in rows
            if f"{FIRST}-70000" in row["instrument_name"]
        }
        share = math.fsum(wanted.values()) * INDEX_USD**2 / 100 / document["exposure"]["gross_gex_usd_per_pct"]
        assert share > 0.5
        assert warnings(document)["pin_risk"] == 2

    @pytest.mark.parametrize("vol", [0, 0.0, -0.5, -50])
    def test_4_5_a_vol_of_zero_or_less_is_masked(self, file, sound, vol):
        document = measured(file(changed(mark_iv=vol)), *RULE)
        assert masks(document) == {"iv_nonpositive": 1}
        assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(gross_without_victim(sound), rel=1e-9)
        assert document["book"]["position_coin"][VICTIM] is None
        assert document["chain"]["masked"][0]["open_interest_share"] == pytest.approx(
            CHAIN[VICTIM]["open_interest"] / sound["chain"]["open_interest_coin"]
        )

    @pytest.mark.parametrize("vol", [None, ""])
    def test_6_a_missing_vol_is_the_fitted_one_and_says_so(self, file, sound, vol):
        document = measured(file(changed(mark_iv=vol)), *RULE)
        sources = document["book"]["iv_source"]
        assert sources[VICTIM] == "surface"
        assert set(sources[:VICTIM] + sources[VICTIM + 1 :]) == {"venue"}
        assert document["book"]["iv"][VICTIM] == pytest.approx(CHAIN[VICTIM]["mark_iv"] / 100, abs=0.02)
        assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gross_gex_usd_per_pct"], rel=0.01)

    def test_7_a_thousand_per_cent_is_taken_and_remarked(self, file):
        document = measured(file(changed(mark_iv=1000.0)), *RULE)
        assert warnings(document)["iv_extreme"] == 1
        assert document["book"]["iv"][VICTIM] == 10.0

    @pytest.mark.parametrize(
        "rows",
        [
            [{**row, "mark_iv": row["mark_iv"] / 100} for row in CHAIN],
            [{**row, "mark_iv": row["mark_iv"] * 100} for row in CHAIN],
            [{**row, "mark_iv": row["mark_iv"] / (100 if place % 2 else 1)} for place, row in enumerate(CHAIN)],
        ],
        ids=["decimal", "basis points", "mixed"],
    )
    def test_8_vols_in_another_unit_refuse_the_whole_chain(self, file, rows):
        assert "volatilities" in refused("measure", file(rows), *RULE, "--json", "-")

    def test_9_10_crossed_and_one_sided_quotes_are_remarked_and_the_mark_vol_is_used(self, file, sound):
        for code, rows in (("crossed", changed(bid_price=0.09, ask_price=0.03)), ("one_sided", changed(bid_price=None))):
            document = measured(file(rows), *RULE)
            assert warnings(document)[code] == 1
            assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)

    def test_11_a_price_below_intrinsic_keeps_its_interest_and_mark_vol(self, file, sound):
        deep = next(place for place, row in enumerate(CHAIN) if row["instrument_name"] == "BTC-27MAR26-50000-C")
        rows = [{**row, "mark_price": 1e-4} if place == deep else row for place, row in enumerate(CHAIN)]
        document = measured(file(rows), *RULE)
        assert warnings(document)["unresolvable_below_intrinsic"] == 1
        assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)

    def test_12_a_price_above_the_cap_is_masked(self, file, sound):
        document = measured(file(changed(mark_price=1.2)), *RULE)
        assert masks(document) == {"above_cap": 1}
        assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(gross_without_victim(sound), rel=1e-9)

    def test_13_zero_interest_is_kept_missing_and_negative_interest_are_masked(self, file, sound):
        document = measured(file(changed(open_interest=0)), *RULE)
        assert masks(document) == {}
        assert document["book"]["position_coin"][VICTIM] == 0.0
        for value, code in ((None, "oi_missing"), (-5, "oi_negative"), ("lots", "oi_missing")):
            document = measured(file(changed(open_interest=value)), *RULE)
            assert masks(document) == {code: 1}
            assert document["status"] == "degraded"
            assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(gross_without_victim(sound), rel=1e-9)

    def test_14_nobody_holds_anything(self, file):
        document = measured(file([{**row, "open_interest": 0} for row in CHAIN]))
        self._nothing(document)
        assert document["spot_usd"] == INDEX_USD

    @pytest.mark.parametrize("value", [reply([]), {"result": []}, {"rawData": {"bookSummary": []}}], ids=["reply", "bare", "wrapped"])
    def test_14_an_empty_reply_is_an_answer(self, file, value, tmp_path):
        for words in (
            (),
            ("--at", "2026-03-20T12:00:00Z"),
            ("--rule", "mixture:short-all@0.5+long-all@0.5"),
            ("--depth-usd-per-pct", "1e8"),
        ):
            self._nothing(measured(file(value), *words))
        assert measured(file(value))["spot_usd"] is None
        assert tailwag("measure", file(value), "--html", tmp_path / "empty.html").code == 0

    def test_14_no_time_is_not_1970(self, file):
        assert measured(file({"result": []}))["as_of"] is None
        assert measured(file({"result": []}), "--at", "2026-03-20T12:00:00Z")["as_of"] == "2026-03-20T12:00:00Z"

    @staticmethod
    def _nothing(document: Record) -> None:
        exposure = document["exposure"]
        assert [exposure[name] for name in ("gex_usd_per_pct", "gross_gex_usd_per_pct", "delta_usd", "vega_usd_per_volpt")] == [0.0] * 4
        assert exposure["empty"] is True
        assert document["levels"]["flips"] == []
        assert document["levels"]["flip_status"] == "none"
        assert document["levels"]["call_wall_usd"] is None
        assert document["gain"]["regime"] == "undetermined"
        assert document["headline"][0].startswith("no open interest")

    @pytest.mark.parametrize("text", [b"[]", b"{}", b'{"a": 1}', b'"text"', b"5", b"null", b'[[[{"x": 1}]]]'])
    def test_14_an_unknown_shape_is_refused(self, file, text):
        refused("measure", file(text), "--json", "-")

    def test_15_the_same_row_twice_counts_once_and_contradicting_rows_do_not_count(self, file, sound):
        document = measured(file(added()), *RULE)
        assert masks(document) == {"duplicate": 1}
        assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)
        assert document["chain"]["open_interest_coin"] == sound["chain"]["open_interest_coin"]
        document = measured(file(added(open_interest=999)), *RULE)
        assert masks(document) == {"duplicate_conflict": 2}
        assert document["status"] == "degraded"
        assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(gross_without_victim(sound), rel=1e-9)

    def test_16_one_contract_under_two_names_counts_once(self, file, sound):
        for name in ("BTC-27MAR26-70000d0-C", "BTC-CS-27MAR26-70000_80000"):
            document = measured(file(added(instrument_name=name)), *RULE)
            assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gross_gex_usd_per_pct"], rel=1e-12)
            assert document["chain"]["open_interest_coin"] == sound["chain"]["open_interest_coin"]

    def test_17_an_unknown_currency_is_masked_and_another_known_one_is_not_this_chain(self, file, sound):
        document = measured(file(added(instrument_name="XYZ-27MAR26-70000-C", base_currency="XYZ")), *RULE)
        assert masks(document) == {"unknown_currency": 1}
        assert document["status"] == "degraded"
        assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)
        document = measured(file(added(instrument_name="ETH-27MAR26-3000-C", base_currency="ETH")), *RULE)
        assert document["chain"]["instruments"] == len(CHAIN)

    def test_18_19_linear_contracts_count_in_coin_beside_inverse_ones(self, file, sound):
        document = measured(
            file(added(instrument_name="BTC_USDC-27MAR26-70000-C", mark_price=1500.0, bid_price=1490.0, ask_price=1510.0)), *RULE
        )
        assert masks(document) == {}
        once = sound["exposure"]["gross_gex_usd_per_pct"] - gross_without_victim(sound)
        assert document["exposure"]["gross_gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gross_gex_usd_per_pct"] + once, rel=1e-9)
        assert document["book"]["settlement"][-1] == "linear"

    @pytest.mark.parametrize(
        "strike", ["1e5", "0", "-5", "nan", "1e308", "\u0667\u0660\u0660\u0660\u0660", "", "70000.", "+70000", "0x11170"]
    )
    def test_20_a_strike_that_is_none_is_masked_under_one_code(self, file, sound, strike):
        document = measured(file(added(instrument_name=f"BTC-27MAR26-{strike}-C")), *RULE)
        assert masks(document) == {"name_invalid": 1}
        assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)

    @pytest.mark.parametrize("spelling", ["70000_5", "70000d5", "70000.5"])
    def test_20_decimal_strikes_are_read_exactly(self, file, spelling):
        document = measured(file(added(instrument_name=f"BTC-27MAR26-{spelling}-C")), *RULE)
        assert document["book"]["strike_usd"][-1] == 70000.5

    def test_21_a_forward_far_from_the_index_degrades_and_a_september_basis_does_not(self, file):
        rows = [{**row, "underlying_price": 80_000.0} if "27MAR26" in row["instrument_name"] else row for row in CHAIN]
        document = measured(file(rows), *RULE)
        assert document["status"] == "degraded"
        assert warnings(document)["forward_disagrees"] == 18
        assert {part["expiry"][:10]: part["forward_usd"] for part in document["exposure"]["by_expiry"]}["2026-03-27"] == 80_000.0
        rows = [{**row, "underlying_price": 70_000 * 1.046} if "26JUN26" in row["instrument_name"] else row for row in CHAIN]
        assert measured(file(rows), *RULE)["status"] == "ok"

    def test_22_a_spot_that_is_none_is_never_used(self, file):
        for price in (0, -70_000, None, "x"):
            document = measured(file([{**row, "estimated_delivery_price": price} for row in CHAIN]), *RULE)
            assert document["status"] == "degraded"
            assert document["spot_usd"] == pytest.approx(INDEX_USD, rel=1e-3)
        for price in (0, -70_000, 700_000):
            assert measured(file(changed(estimated_delivery_price=price)), *RULE)["spot_usd"] == INDEX_USD
        document = measured(file({"indexPrice": 700_000, "rawData": {"bookSummary": CHAIN}}), *RULE)
        assert document["spot_usd"] == INDEX_USD
        assert document["status"] == "degraded"

    @pytest.mark.parametrize(
        "words",
        [
            ("--dynamics", "sticky-moneyness"),
            ("--rule", "mixture:short-all@0.5+long-all@0.5", "--depth-usd-per-pct", "3e7"),
            ("--vol", "surface", "--numeraire", "coin"),
        ],
        ids=lambda words: words[0],
    )
    def test_24_permuted_rows_give_the_same_bits(self, file, words):
        rows = [*random_chain(21), *random_chain(21)[:2]]
        documents = []
        for seed in range(3):
            shuffled = copy.deepcopy(rows)
            random.Random(seed).shuffle(shuffled)
            document = measured(file(rows if seed == 0 else shuffled), *words)
            documents.append({key: value for key, value in document.items() if key not in ("book", "source")})
        assert documents[0] == documents[1] == documents[2]

    def test_24_a_huge_pair_that_cancels_leaves_the_small_exact(self, file, sound):
        """Long calls and short puts of one strike cancel in gamma: 10 billion coins of each change nothing that is left."""
        twins = [
            {**CHAIN[VICTIM], "open_interest": 1e10},
            {**CHAIN[VICTIM], "instrument_name": "BTC-27MAR26-70000-P", "open_interest": 1e10},
        ]
        others = [row for row in CHAIN if "27MAR26-70000" not in row["instrument_name"]]
        small = measured(file(others), *RULE)["exposure"]["gex_usd_per_pct"]
        assert measured(file([*others, *twins]), *RULE)["exposure"]["gex_usd_per_pct"] == pytest.approx(small, rel=1e-12)

    def test_25_flips_at_the_edge_and_beyond_it(self, file):
        shared = {"mark_iv": 50.0, "underlying_price": 70_000.0, "underlying_index": "BTC-26JUN26", "open_interest": 100.0}
        rows = [{**CHAIN[VICTIM], **shared, "instrument_name": f"BTC-26JUN26-{name}"} for name in ("80000-C", "60000-P")]
        (flip,) = measured(file(rows), *RULE)["levels"]["flips"]
        ratio = flip["spot_usd"] / INDEX_USD
        for low, high, status in (
            (ratio + 1e-6, 1.5, "none"),
            (0.5, ratio - 1e-6, "none"),
            (ratio - 1e-4, 1.5, "edge"),
            (0.5, ratio + 1e-4, "edge"),
            (0.8, 1.2, "one"),
        ):
            levels = measured(file(rows), *RULE, "--spot-range", f"{low}:{high}", "--spot-levels", "41")["levels"]
            assert levels["flip_status"] == status
            assert len(levels["flips"]) == (status != "none")
            assert all(low * INDEX_USD <= found["spot_usd"] <= high * INDEX_USD for found in levels["flips"])


class TestTime:
    @pytest.mark.parametrize(
        "text", ["2026-03-20T12:00:00", "2026-03-20", "yesterday", "1774008000", "", "1970-01-01T00:00:00Z", "2200-01-01T00:00:00Z"]
    )
    def test_26_29_a_time_without_offset_or_outside_the_years_is_refused(self, file, text):
        refused("measure", file(CHAIN), "--at", text, "--json", "-")

    def test_26_a_naive_time_in_a_file_is_refused(self, file):
        refused("measure", file(csv_bytes(chain_rows()).replace(b"+00:00", b""), "chain.csv"), "--json", "-")

    def test_27_expiries_are_at_eight_utc_on_both_sides_of_a_clock_change(self, file):
        """Europe's clocks change on 29 March 2026."""
        rows = [{**row, "instrument_name": row["instrument_name"].replace("27MAR26", "30MAR26")} for row in CHAIN]
        document = measured(file(rows), *RULE)
        assert [part["expiry"] for part in document["exposure"]["by_expiry"]] == [
            f"{day}T08:00:00Z" for day in ("2026-03-21", "2026-03-30", "2026-06-26")
        ]

    def test_28_a_leap_second_is_the_next_second(self, file):
        assert measured(file({"result": []}), "--at", "2026-06-30T23:59:60Z")["as_of"] == "2026-07-01T00:00:00Z"

    @pytest.mark.parametrize(
        "stamp", [AS_OF_MS // 1000, AS_OF_MS * 1000, AS_OF_MS * 10**6, 0, -5, 86_400_000, 5_700_000_000_000, "2026-03-20T12:00:00Z"]
    )
    def test_29_a_time_in_another_unit_is_masked_never_guessed(self, file, stamp):
        document = measured(file(changed(creation_timestamp=stamp)), *RULE)
        assert masks(document) == {"time_invalid": 1}
        assert document["as_of"].startswith("2026-03-20T12:00:00")
        refused("measure", file([{**row, "creation_timestamp": stamp} for row in CHAIN]), "--json", "-")

    def test_29_no_time_at_all_asks_for_one(self, file):
        rows = json.dumps([{key: value for key, value in row.items() if key != "creation_timestamp"} for row in CHAIN]).encode()
        assert "--at" in refused("measure", file(rows), "--json", "-")
        assert measured(file(rows), "--at", "2026-03-20T12:00:00Z")["as_of"] == "2026-03-20T12:00:00Z"

    def test_a_snapshot_later_than_asked_for_is_refused(self, file):
        assert "later" in refused("measure", file(CHAIN), "--at", "2026-03-20T11:59:00Z", "--json", "-")


HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(1)",
    "\tBTC-27MAR26-70000-C",
    "BTC-27MAR26-70000-C\r",
    "BTC-27MAR26-70000-C\n",
    "\u202eBTC-27MAR26-70000-C",
    "BTC-27MAR26-70000-C\0",
    "BTC-27MAR26-\u0667\u0660-C",
    "BTC-27MAR26-70000-C\n[INFO] all is well",
    "A" * 10_000,
]


class TestNames:
    @pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:24])
    def test_34_a_hostile_name_is_masked(self, file, sound, name):
        document = measured(file(added(instrument_name=name)), *RULE)
        assert masks(document) == {"name_invalid": 1}
        assert document["exposure"]["gex_usd_per_pct"] == pytest.approx(sound["exposure"]["gex_usd_per_pct"], rel=1e-12)

    def test_34_hostile_names_reach_neither_terminal_nor_html_unescaped(self, file, tmp_path):
        rows = [*CHAIN, *({**CHAIN[VICTIM], "instrument_name": name} for name in HOSTILE)]
        path = file(rows, "<img src=x onerror=1>\x1b[31m.json")
        outcome = tailwag("measure", path, *RULE, "--html", tmp_path / "r.html")
        assert outcome.code == 0, outcome.err
        page, shown = (tmp_path / "r.html").read_text(), outcome.out.decode()
        for text in ("<script>alert(1)", "<img src=x", "\x1b", "\u202e"):
            assert text not in page
        for text in ("\x1b", "\u202e", "\0"):
            assert text not in shown
        assert "[INFO] all is well" not in shown

    @pytest.mark.parametrize("name", ["[link=x]y.json", "[bold red]z.json", "{0}%s.json", "a b;c.json", "-x.json"])
    def test_34_a_file_name_is_text_to_the_terminal(self, file, name, tmp_path):
        outcome = tailwag("measure", file(CHAIN, name), *RULE, "--png", tmp_path / "card.png")
        assert outcome.code == 0, outcome.err
        assert name in outcome.out.decode().replace("\n", "")

    def test_33_a_renamed_perp_is_no_option(self, file, sound):
        for name in ("BTC-PERPETUAL", "BTC-PERP"):
            document = measured(file(added(instrument_name=name)), *RULE)
            assert document["chain"]["instruments"] == len(CHAIN)
            assert document["exposure"]["gex_usd_per_pct"] == sound["exposure"]["gex_usd_per_pct"]


TABLE = csv_bytes(chain_rows())
TEXT = json.dumps(reply(CHAIN)).encode()


class TestFiles:
    @pytest.mark.parametrize(
        ("data", "place"),
        [
            (b"", ":1:1"),
            (b"\n", ":1:1"),
            (TABLE[: len(TABLE) // 2], ":28:"),
            (b"\xef\xbb\xbf" + TABLE, ":1:1"),
            (TABLE.decode().encode("utf-16"), ":1:1"),
            (TABLE.replace(b"\n", b"\r\n"), ":1:"),
            (TABLE.replace(b"BTC-27MAR26-70000-C", b'"BTC-27MAR26-70000-C', 1), ":"),
            (TABLE.replace(b"70000", b"70\x00000", 1), ":"),
            (TABLE.replace(b"volume,", b"volume,volume,", 1), ":1:"),
            (TABLE.replace(b"open_interest", b"oi", 1), ""),
        ],
        ids=["empty", "newline", "cut", "bom", "utf-16", "crlf", "lone quote", "nul", "header twice", "header missing"],
    )
    def test_35_36_a_damaged_csv_is_refused_with_its_place(self, file, data, place):
        assert f"chain.csv{place}" in refused("measure", file(data, "chain.csv"), "--json", "-")

    def test_36_an_extra_column_is_ignored(self, file):
        wide = (
            b"\n".join(line + (b",extra" if place == 0 else b",1") for place, line in enumerate(TABLE.rstrip(b"\n").split(b"\n"))) + b"\n"
        )
        plain, more = (measured(file(data, "chain.csv"), *RULE)["exposure"] for data in (TABLE, wide))
        assert plain == more

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xef\xbb\xbf" + TEXT,
            TEXT.decode().encode("utf-16"),
            TEXT[:-500],
            TEXT + TEXT,
            TEXT.replace(b'"volume": 1.5', b'"volume": NaN', 1),
            TEXT.replace(b'"volume": 1.5', b'"volume": -Infinity', 1),
            TEXT.replace(b'"volume": 1.5', b'"volume": 1e999', 1),
            TEXT.replace(b'"volume": 1.5', b'"volume": 9223372036854775808', 1),
            TEXT.replace(b'"volume": 1.5', b'"volume": ' + b"9" * 5_000, 1),
            TEXT.replace(b'"volume": 1.5', b'"volume": 1.5, "volume": 2', 1),
            b"[" * 100_000 + b"]" * 100_000,
            b'{"jsonrpc": "2.0", "error": {"code": 10028, "message": "too_many_requests"}}',
            b"<html>one moment, please</html>",
        ],
        ids=["empty", "bom", "utf-16", "cut", "twice", "nan", "infinity", "1e999", "2^63", "long", "key twice", "deep", "error", "html"],
    )
    def test_37_json_is_read_strictly(self, file, data):
        refused("measure", file(data), "--json", "-")

    def test_38_bombs_stop_at_the_cap(self, file):
        spaces = b" " * (1 << 28)
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as folder:
            folder.writestr("chain.json", spaces + TEXT)
        for data, name in (
            (gzip.compress(spaces + TEXT, 1), "a.json.gz"),
            (gzip.compress(gzip.compress(TEXT)), "b.json.gz"),
            (pa.compress(spaces + TEXT, codec="zstd", asbytes=True), "c.json.zst"),
            (inner.getvalue(), "d.zip"),
        ):
            refused("measure", file(data, name), "--json", "-")

    @pytest.mark.parametrize(
        "path",
        [
            "../../../../etc/passwd",
            "/etc/passwd",
            "file:///etc/passwd",
            "\\\\host\\share\\x.json",
            "a\0b.json",
            "http://localhost/x.json",
            "/dev/zero",
            "",
            "nowhere.json",
            "kraken:BTC",
        ],
    )
    def test_39_no_path_leads_elsewhere(self, path):
        assert "root:" not in refused("measure", path, "--json", "-")

    def test_39_links_and_pipes_are_not_followed(self, file, tmp_path):
        (tmp_path / "link.json").symlink_to(file(CHAIN))
        os.mkfifo(tmp_path / "pipe.json")
        for name in ("link.json", "pipe.json"):
            refused("measure", tmp_path / name, "--json", "-")

    def test_40_files_that_can_run_code_are_refused_by_type(self, file):
        stored = io.BytesIO()
        np.save(stored, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        for data, name in (
            (pickle.dumps({"a": 1}), "a.pkl"),
            (pickle.dumps({"a": 1}, protocol=0), "a.json"),
            (stored.getvalue(), "a.npy"),
            (stored.getvalue(), "a.json"),
            (b"!!python/object/apply:os.system ['true']\n", "a.yaml"),
        ):
            refused("measure", file(data, name), "--json", "-")

    def test_41_sql_in_names_is_text(self, file, sound):
        document = measured(file(CHAIN, "'; ATTACH 'x.db'; --.json"), *RULE)
        assert document["exposure"]["gex_usd_per_pct"] == sound["exposure"]["gex_usd_per_pct"]
        refused("measure", "read_csv('/etc/passwd')", "--json", "-")
        measured(file(TABLE.replace(b"volume_usd", b"v'; ATTACH 'x'; --", 1), "chain.csv"), *RULE)

    def test_a_parquet_file_reads_like_its_csv(self, file):
        table, binary = (measured(file(data, name), *RULE) for data, name in ((TABLE, "c.csv"), (parquet_bytes(chain_rows()), "c.parquet")))
        assert table["exposure"] == binary["exposure"]


class TestStatedNumbers:
    """What the user types is used or refused, never passed over and never a crash."""

    @pytest.mark.parametrize(
        "words",
        [
            ("--spot-vol-beta", "nan"),
            ("--spot-vol-beta", "inf"),
            ("--spot-vol-beta", "1e308"),
            ("--depth-usd-per-pct", "1e-320"),
            ("--depth-usd-per-pct", "nan"),
            ("--daily-volume-usd", "-1"),
            ("--daily-volume-usd", "nan"),
            ("--daily-volume-usd", "1e308"),
            ("--daily-volume-usd", "1e10", "--impact-y", "0"),
            ("--daily-volume-usd", "1e10", "--crossover-usd", "-1"),
            ("--daily-volume-usd", "1e10", "--daily-vol", "3.1"),
            ("--daily-volume-usd", "1e10", "--permanent-share", "2"),
            ("--strike-limit-usd", "nan"),
            ("--expiry-limit-usd", "-1"),
            ("--move-pct", "nan"),
            ("--hedge-share", "-0.1"),
            ("--draws", "0"),
            ("--draws", "1000000000"),
            ("--seed", "-1"),
            ("--currency", "BTC\nBTC"),
            ("--currency", ""),
            ("--spot-levels", "1000000000"),
            ("--dynamics", "ssr:nan"),
            ("--rule", "customers-buy:nan"),
            ("--rule", "mixture:short-all@nan+long-all@0.5"),
        ],
        ids=" ".join,
    )
    def test_a_number_that_no_market_has_is_refused(self, file, words):
        message = refused("measure", file(CHAIN), *words, "--json", "-")
        assert "internal" not in message

    @pytest.mark.parametrize(
        "lines",
        [
            "",
            "BTC-27MAR26-70000-C,nan",
            "BTC-27MAR26-70000-C,1_000",
            "BTC-27MAR26-70000-C,\u0661",
            "BTC-27MAR26-70000-C,1e300",
            "BTC-27MAR26-1-C,5",
            "BTC-27MAR26-70000-C",
        ],
    )
    def test_positions_are_plain_numbers_of_listed_instruments(self, file, lines, tmp_path):
        (tmp_path / "held.csv").write_text(f"instrument,position_coin\n{lines}\n")
        refused("measure", file(CHAIN), "--rule", f"positions:{tmp_path / 'held.csv'}", "--json", "-")

    def test_positions_are_the_ones_stated(self, file, tmp_path):
        (tmp_path / "held.csv").write_text("instrument,position_coin\nBTC-27MAR26-70000-C,-12.5\nBTC-26JUN26-60000-P,3\n")
        document = measured(file(CHAIN), "--rule", f"positions:{tmp_path / 'held.csv'}")
        held = dict(zip(document["book"]["instrument"], document["book"]["position_coin"], strict=True))
        assert {name: value for name, value in held.items() if value} == {"BTC-27MAR26-70000-C": -12.5, "BTC-26JUN26-60000-P": 3.0}

    def test_a_stated_depth_is_printed_as_stated(self, file):
        for depth in (1e6, 37.3e6, 1e8 / 3):
            assert measured(file(CHAIN), *RULE, "--depth-usd-per-pct", repr(depth))["gain"]["depth_usd_per_pct"] == depth

    def test_nothing_hedged_is_no_loop(self, file):
        document = measured(file(CHAIN), "--rule", "short-all", "--hedge-share", "0", "--depth-usd-per-pct", "1e8")
        assert document["gain"]["value"] == 0.0
        assert document["gain"]["regime"] == "undetermined"
        assert "no loop" in document["headline"][0]

    def test_the_headline_speaks_of_the_hedged_share(self, file):
        whole, half = (measured(file(CHAIN), "--rule", "short-all", "--hedge-share", share) for share in ("1", "0.5"))
        assert whole["flows"] == half["flows"]
        assert whole["headline"] != half["headline"]
        (flow,) = (row["buy_usd"] for row in half["flows"] if (row["spot_move_pct"], row["vol_move_volpt"], row["hours"]) == (3, 0, 1))
        (sentence,) = (text for text in half["headline"] if text.startswith("Within the hour"))
        assert f"buy ${flow * 0.5 / 1e6:.1f}m if spot rises 3 %" in sentence


def test_json_stands_alone_on_stdout_and_files_are_strict(file, tmp_path):
    outcome = tailwag("measure", file(CHAIN), "--json", tmp_path / "out.json")
    assert outcome.code == 0
    assert strict((tmp_path / "out.json").read_bytes())["schema"] == "tailwag.measure/1"
