"""Signs of dealers' inventory from signed trades against the rules: known answers, a plain twin, and files with faults."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.command import refused, tailwag
from tests.experiments.study import trade_signs_twin as twin

from tailwag.errors import EmptyChainError, FileFormatError, InputError
from tailwag.experiments.study.trade_signs import daily_book, option_prints
from tailwag.experiments.study.trade_signs_compare import WEIGHTS, Sampling, interval, sign_share, wrong_sides
from tailwag.experiments.study.trade_signs_picture import trade_signs_png
from tailwag.experiments.study.trade_signs_run import RULES, TradesRequest, trade_signs
from tailwag.experiments.study.trade_signs_words import print_trade_signs
from tailwag.market.trades import Trades
from tailwag.positioning import LongCallsShortPuts
from tailwag.units import NS_PER_DAY

START_MS = 1_672_531_200_000
"""2023-01-01T00:00:00Z."""
NAMES = ("BTC-3MAR23-16000-C", "BTC-3MAR23-18000-C", "BTC-3MAR23-15000-P", "BTC-13JAN23-17000-C", "BTC-3MAR23-20000-P")


def one(rank: int, name: str, direction: str, amount: float, **more: Any) -> dict[str, Any]:
    """A print like Deribit's, one an hour."""
    base = {
        "trade_id": str(1000 + rank),
        "timestamp": START_MS + rank * 3_600_000,
        "instrument_name": name,
        "direction": direction,
        "amount": amount,
        "price": 0.05,
        "iv": 60.0,
        "index_price": 16_500.0,
        "mark_price": 0.05,
    }
    return {**base, **more}


def written(folder: Path, prints: list[dict[str, Any]], name: str = "trades.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"trades": prints}))
    return path


def noisy(seed: int, count: int = 700) -> list[dict[str, Any]]:
    """A month of trades with blocks, liquidations, repeats and missing volatilities."""
    draw = random.Random(seed)
    prints = []
    for rank in range(count):
        more: dict[str, Any] = {"iv": draw.choice([0.0, 45.0, 61.3, 72.0]), "index_price": 16_500.0 * math.exp(0.04 * draw.gauss(0, 1))}
        if draw.random() < 0.08:
            more["block_trade_id"] = "B1"
        elif draw.random() < 0.1:
            more["liquidation"] = draw.choice(["M", "T", "MT"])
        if rank and draw.random() < 0.05:
            more["index_price"] = 0.0
        name = draw.choice(NAMES if rank < 250 else [name for name in NAMES if "13JAN" not in name])
        prints.append(one(rank, name, draw.choice(["buy", "sell"]), draw.choice([0.1, 0.3, 2.5, 12.0]), **more))
    return [*prints, prints[5], prints[90]]


def test_what_takers_buy_dealers_are_short_of(tmp_path: Path) -> None:
    """A call bought and a put sold: the naive rule has both signs wrong, short-all one of them."""
    path = written(tmp_path, [one(0, NAMES[0], "buy", 3.0), one(1, NAMES[2], "sell", 1.0)])
    file = trade_signs(TradesRequest((str(path),)))["files"][0]
    shares = {rule["rule"]: [rule["differs"][weight]["share"] for weight in WEIGHTS] for rule in file["rules"]}
    assert shares["long-calls-short-puts"] == [1.0, 1.0, 1.0]
    assert shares["short-all"][:2] == [0.5, 0.25]
    # the call at 16,000 is in the money, the put at 15,000 is not: customers buy the one and sell the other
    assert shares["customers-sell-otm"] == [0.0, 0.0, 0.0]
    assert file["rules"][0]["net_gamma"] == {"days": 1, "differing": 1, "share": 1.0, "low": None, "high": None}


@pytest.mark.parametrize("seed", [3, 4])
def test_a_plain_twin_finds_the_same(tmp_path: Path, seed: int) -> None:
    prints = noisy(seed)
    document = trade_signs(TradesRequest((str(written(tmp_path, prints)),), block_days=5, seed=2))
    file, cells = document["files"][0], twin.daily(prints)
    assert file["repeats"] == 2
    assert file["open_option_days"] == len(cells)
    for rule in file["rules"]:
        for weight in WEIGHTS:
            told = rule["differs"][weight]
            assert [told[key] for key in ("share", "at_least", "at_most")] == pytest.approx(
                twin.share(cells, rule["rule"], weight), rel=1e-12
            )
            assert told["low"] <= told["share"] <= told["high"]
            assert 0.0 <= told["at_least"] <= told["share"] <= told["at_most"] <= 1.0
    net = twin.net_gamma(cells)
    days = [START_MS // twin.DAY_MS + place for place in range(len(file["days"]["end"]))]
    assert file["days"]["net_gamma_from_flow_usd_per_pct"] == pytest.approx([net[day] for day in days], rel=1e-10, abs=1e-6)
    wrong = file["rules"][0]["net_gamma"]
    ruled = {
        day: sum(
            abs(cell["held"]) * cell["gamma"] * twin.rule_sign("long-calls-short-puts", name, 0.0)
            for (at, name), cell in cells.items()
            if at == day
        )
        for day in days
    }
    assert wrong["differing"] == sum((net[day] > 0.0) != (ruled[day] > 0.0) for day in days)


def test_blocks_count_by_neither_side_and_by_both(tmp_path: Path) -> None:
    """Flow of +1 with a block of 5: base takes the flow, and the block decides either way."""
    path = written(tmp_path, [one(0, NAMES[0], "sell", 1.0), one(1, NAMES[0], "sell", 5.0, block_trade_id="B7")])
    file = trade_signs(TradesRequest((str(path),)))["files"][0]
    told = file["rules"][0]["differs"]["contracts"]
    assert [told["share"], told["at_least"], told["at_most"]] == [0.0, 0.0, 1.0]
    assert file["assumed_share"] == pytest.approx(5.0 / 6.0)
    assert file["blocks_as_printed"]["contracts"] == 1.0  # the printed seller is the dealer: 1 - 5 < 0
    assert file["blocks_turned_round"]["contracts"] == 0.0


def test_who_was_liquidated_was_the_customer() -> None:
    kinds = {"M": -1.0, "T": 1.0, "": 1.0, "MT": 0.0}
    for kind, sign in kinds.items():
        trades = Trades.from_columns(
            trade_id=["1"],
            instrument=[NAMES[0]],
            time_ns=[START_MS * 10**6],
            taker_sign=[-1],
            amount_coin=[2.0],
            iv=[0.5],
            index_usd=[16_500.0],
            liquidated=[kind],
        )
        book = daily_book(option_prints(trades, currency="BTC"))
        assert book.held_coin.tolist() == [[2.0 * sign]], kind
        assert book.assumed_coin.tolist() == [[2.0 if kind == "MT" else 0.0]], kind


def test_repeats_zero_vols_and_missing_marks_change_nothing(tmp_path: Path) -> None:
    prints = [one(0, NAMES[0], "buy", 3.0), one(1, NAMES[1], "sell", 1.0), one(2, NAMES[0], "buy", 1.0, iv=0.0)]
    bare = [{key: cell for key, cell in row.items() if key != "mark_price"} for row in prints]
    clean, faulty = (
        trade_signs(TradesRequest((str(written(tmp_path, rows)),)))["files"][0] for rows in (prints, [*bare, bare[0], bare[2], bare[0]])
    )
    assert (clean["repeats"], faulty["repeats"]) == (0, 3)
    for key in ("rules", "days", "wrong_sides", "option_days_without_gamma"):
        assert clean[key] == faulty[key]
    assert clean["option_days_without_gamma"] == 0
    never = trade_signs(TradesRequest((str(written(tmp_path, [one(0, NAMES[0], "buy", 3.0, iv=0.0)])),)))
    assert never["files"][0]["option_days_without_gamma"] == 1
    assert never["files"][0]["rules"][0]["differs"]["gamma"]["share"] is None
    assert never["files"][0]["rules"][0]["differs"]["options"]["share"] == 1.0
    assert "nothing to compare" in never["headline"][0]


def test_an_inventory_that_ends_flat_or_expires_is_not_counted(tmp_path: Path) -> None:
    prints = [one(0, NAMES[0], "buy", 0.1), one(1, NAMES[0], "buy", 0.2), one(2, NAMES[0], "sell", 0.3), one(3, NAMES[3], "buy", 1.0)]
    late = one(24 * 13, NAMES[1], "sell", 1.0)
    file = trade_signs(TradesRequest((str(written(tmp_path, [*prints, late])),)))["files"][0]
    # 3 March is flat on all 14 days, 13 January is open at the ends of twelve days, the late one on the last
    assert (file["flat_option_days"], file["open_option_days"]) == (14, 14 + 12 + 1)
    assert file["rules"][0]["differs"]["options"]["share"] == pytest.approx(12.0 / 13.0)


def test_what_is_no_option_of_the_coin_is_counted_and_left_out(tmp_path: Path) -> None:
    rows = [
        one(0, NAMES[0], "buy", 1.0),
        one(1, "ETH-3MAR23-1600-C", "buy", 1.0),
        one(2, "BTC-PERPETUAL", "buy", 1.0),
        one(3, NAMES[0], "buy", -1.0),
        one(24 * 13, NAMES[3], "buy", 1.0),
    ]
    path = str(written(tmp_path, rows))
    assert trade_signs(TradesRequest((path,)))["files"][0]["left_out"] == {"no option of BTC": 2, "no amount": 1, "after its expiry": 1}
    assert trade_signs(TradesRequest((path,), currency="ETH"))["files"][0]["trades"] == 1
    with pytest.raises(EmptyChainError, match=r"trades.json: expected trades in options of SOL"):
        trade_signs(TradesRequest((path,), currency="SOL"))


def test_an_empty_download_is_named(tmp_path: Path) -> None:
    good, empty = written(tmp_path, [one(0, NAMES[0], "buy", 1.0)]), tmp_path / "BTC-26MAR21-90000-C.json"
    empty.write_text('""')
    with pytest.raises(FileFormatError, match=r"BTC-26MAR21-90000-C.json: .*empty download"):
        trade_signs(TradesRequest((str(good), str(empty))))


def test_the_interval_is_the_ratio_of_resampled_days() -> None:
    """Days of weight 1 and 3 whose parts are drawn by chance: the interval is as wide as the binomial says, and one block is no interval."""
    draw = np.random.default_rng(9)
    whole = np.where(np.arange(400) % 2 == 0, 1.0, 3.0)
    part = whole * (draw.random(400) < 0.3)
    ends = NS_PER_DAY * np.arange(1, 401, dtype=np.int64)
    low, high = interval(part, whole, ends, Sampling(1, 999, 5))
    assert low is not None
    assert high is not None
    share = float(part.sum() / whole.sum())
    error = math.sqrt(0.3 * 0.7 * float((whole**2).sum())) / float(whole.sum())
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert low < share < high
    assert interval(part[:89], whole[:89], ends[:89], Sampling(30, 99, 5)) == (None, None)
    assert interval(0.0 * part, 0.0 * whole, ends, Sampling(1, 99, 5)) == (None, None)


def test_wrong_sides_pull_every_share_to_a_half_and_widen_what_is_undecided() -> None:
    size, draw = 4000, np.random.default_rng(3)
    trades = Trades.from_columns(
        trade_id=[str(rank) for rank in range(size)],
        instrument=draw.choice(NAMES[:3], size).tolist(),
        time_ns=START_MS * 10**6 + np.arange(size) * 600 * 10**9,
        taker_sign=np.where(draw.random(size) < 0.85, 1, -1),
        amount_coin=draw.choice([0.1, 1.0, 2.0], size),
        iv=np.full(size, 0.6),
        index_usd=np.full(size, 16_500.0),
    )
    book = daily_book(option_prints(trades, currency="BTC"))
    signs = book.rule_signs(LongCallsShortPuts())
    base = sign_share(book, signs, "options", Sampling(5, 99, 1)).value
    found = list(wrong_sides(book, signs, "options", draws=20, seed=1))
    assert (found[0].differs, found[0].low, found[0].undecided) == (base, base, 0.0)
    assert found[-1].differs is not None
    assert found[-1].low is not None
    assert found[-1].high is not None
    assert 0.3 < found[-1].differs < 0.7
    assert found[-1].high - found[-1].low > 0.1
    undecided = [one.undecided for one in found if one.undecided is not None]
    assert undecided == sorted(undecided)
    # 85 of 100 contracts go one way: 2 x 0.4 of all of them is more than the net of 0.7, 2 x 0.3 is less
    assert (undecided[4] < 0.2, undecided[5] > 0.9, undecided[6]) == (True, True, 1.0)


def test_a_file_says_the_same_whatever_the_order_of_its_rows_and_beside_others(tmp_path: Path) -> None:
    prints = noisy(8, 200)
    shuffled = prints[:]
    random.Random(1).shuffle(shuffled)
    first, second = written(tmp_path, prints, "a.json"), written(tmp_path, shuffled, "b.json")
    alone = trade_signs(TradesRequest((str(first),)))["files"][0]
    both = trade_signs(TradesRequest((str(second), str(first))))["files"]
    assert both[1] == alone
    assert {**both[0], "name": "", "sha256": ""} == {**alone, "name": "", "sha256": ""}


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    path = written(tmp_path, noisy(5, 150))
    document = tailwag("study", "trades", path, "--block-days", "2", "--json", "-").document
    assert document["schema"] == "tailwag.study-trades/1"
    printed = io.StringIO()
    print_trade_signs(document, file=printed)
    shown = tailwag("study", "trades", path, "--block-days", "2", "--json", tmp_path / "out.json")
    assert shown.out.decode().startswith(printed.getvalue())
    assert json.loads((tmp_path / "out.json").read_text()) == document
    assert all(rule.name in printed.getvalue() for rule in RULES)


@pytest.mark.slow
def test_the_picture_is_the_document_s(tmp_path: Path) -> None:
    """Also of more files than there are colours, and of one in which nothing can be compared."""
    paths = [written(tmp_path, noisy(seed, 100), f"{seed}.json") for seed in range(7)]
    paths.append(written(tmp_path, [one(0, NAMES[0], "buy", 3.0, iv=0.0)], "none.json"))
    picture = tmp_path / "signs.png"
    document = tailwag("study", "trades", *paths, "--png", picture, "--json", "-").document
    assert picture.read_bytes() == trade_signs_png(document)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_words_of_another_study_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [one(0, NAMES[0], "buy", 1.0)])
    assert "files of option trades" in refused("study", "trades")
    assert "takes no --panel" in refused("study", "trades", path, "--panel", "panel")
    assert "takes no files" in refused("study", "reversal", path)
    assert "needs --panel" in refused("study", "reversal")
    assert "--png expects a file" in refused("study", "trades", path, "--png", tmp_path / "no" / "x.png")
    with pytest.raises(InputError, match="1 to 366"):
        TradesRequest((str(path),), block_days=0)
