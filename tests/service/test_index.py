"""The daily index of a recorded store, against plain Python that reads the exported snapshot files and knows nothing of the product."""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from tests.cli.command import strict
from tests.cli.command import tailwag as run
from tests.service.live_service import live_service

from tailwag.market.snapshot import Snapshot
from tailwag.service.archive import DAYS_WORKED_OUT, Archive
from tailwag.service.index_days import IndexDays, IndexOf
from tailwag.sources.demo_moving import moving_demo
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

MINUTE_NS = 60 * 10**9
DAY_NS = 86_400 * 10**9
FIRST_DAY = 1_789_862_400_000_000_000
"""2026-09-20: the rules agree before its expiry and after."""
FAR = 1 << 62
RULES = ("long-calls-short-puts", "customers-sell-otm")


def small(at_ns: int, *, currency: str = "BTC", in_the_money_calls_only: bool = False) -> Snapshot:
    """Four expiries of the moving demo, the next to expire among them."""
    snapshot = moving_demo(at_ns, currency=currency)
    chain = snapshot.chain
    expiries = np.unique(chain.expiry_ns)
    chosen = chain.select(np.flatnonzero(np.isin(chain.expiry_ns, expiries[[0, 1, 5, 7]])))
    if in_the_money_calls_only:
        deep = (chosen.right > 0) & (chosen.strike_usd < chosen.underlying_usd)
        chosen = chosen.with_columns(open_interest_contracts=np.where(deep, 500.0, 1.0))
    # a book is there, and the index must not look at it
    return snapshot.with_parts(chain=chosen, books=snapshot.books[:1], trades=None)


def times(day: int, minutes: list[float]) -> list[int]:
    return [FIRST_DAY + day * DAY_NS + round(minute * MINUTE_NS) for minute in minutes]


def recorded(folder: Path) -> Path:
    """Three days: a whole one (with a mark twice and one missing), a thin one, one on whose sign the rules disagree."""
    whole = [390 + 5 * mark + 1 for mark in range(12)] + [510 + 5 * mark + 2.5 for mark in range(12) if mark != 4] + [512.9, 570.0]
    thin, split = [511.0, 516.0, 521.0, 526.0, 569.0, 590.0], [512.0 + 5 * mark for mark in range(7)] + [580.0]
    with Recorder(folder) as recorder:
        for at_ns in sorted(times(0, whole)) + times(1, thin):
            keep(recorder, small(at_ns))
        for at_ns in times(2, split):
            keep(recorder, small(at_ns, in_the_money_calls_only=True))
            keep(recorder, small(at_ns + 1_000_000_000, currency="ETH"))
    return folder


def keep(recorder: Recorder, snapshot: Snapshot) -> None:
    recorder.append(snapshot, received_ns=snapshot.as_of_ns)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("market") / "store")


@pytest.fixture(scope="module")
def days(store: Path) -> dict[str, Any]:
    found, following = IndexDays(IndexOf("BTC")).days(History.open(store), 0, FAR)
    assert following is None
    return {day["date"]: plain(day) for day in found}


def plain(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))


# the index by plain Python: reads the Parquet files, knows Black's formulas and the definition's words, nothing else


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def by_hand(path: Path) -> dict[str, Any]:
    """GEX under both rules, gains, hedged interest and volume of one snapshot file."""
    header = json.loads(pq.read_schema(path).metadata[b"tailwag.snapshot"])
    rows = pq.read_table(path).to_pylist()
    options, at_ns = [row for row in rows if row["part"] == "chain"], header["as_of_ns"]
    indices = sorted(row["index_usd"] for row in options)
    spot = (indices[(len(indices) - 1) // 2] + indices[len(indices) // 2]) / 2
    gex, hedged, by_expiry = [0.0, 0.0], 0.0, defaultdict(list)
    for row in options:
        strike, forward, iv = row["strike_usd"], row["underlying_usd"], row["iv"]
        years = (row["expiry_ns"] - at_ns) / (365 * DAY_NS)
        interest = row["open_interest_contracts"] * row["coin_per_contract"]
        width = iv * math.sqrt(years)
        d1 = math.log(forward / strike) / width + width / 2
        gamma = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) / (forward * width)
        is_call = row["right"] == 1
        otm = strike >= forward if is_call else strike < forward
        for rule, sign in enumerate((1 if is_call else -1, 1 if otm else -1)):
            gex[rule] += sign * interest * gamma * spot**2 / 100
        hedged += abs(normal(d1) - (0 if is_call else 1)) * interest * spot
        by_expiry[row["expiry_ns"]].append((abs(math.log(strike / forward)), iv))
    volume = sum(row["volume_24h_usd"] for row in rows if row["part"] == "futures" and row["volume_24h_usd"] > 0)
    week = min(by_expiry, key=lambda expiry: abs(math.log((expiry - at_ns) / (7 * DAY_NS))))
    nearest = min(by_expiry[week])[0]
    vols = [iv for away, iv in by_expiry[week] if away <= nearest + 1e-12]
    daily_vol = sum(vols) / len(vols) / math.sqrt(365)
    gains = [-math.copysign(100 * daily_vol * math.sqrt(abs(one) / volume), one) for one in gex]
    return {"at_ns": at_ns, "currency": header["currency"], "gex": gex, "gain": gains, "ratio": hedged / volume, "hedged": hedged}


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def window_by_hand(snapshots: list[dict[str, Any]], day: int, start: int) -> list[dict[str, Any]]:
    last: dict[int, dict[str, Any]] = {}
    for one in sorted(snapshots, key=lambda one: one["at_ns"]):
        minutes = (one["at_ns"] - FIRST_DAY - day * DAY_NS) / MINUTE_NS
        if start <= minutes < start + 60:
            last[int(minutes - start) // 5] = one
    return list(last.values())


@pytest.fixture(scope="module")
def exported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("exported")
    assert run("export", str(store), "--out", str(folder), "--as", "snapshots").code == 0
    found = [by_hand(path) for path in sorted(folder.glob("*.parquet"))]
    return [one for one in found if one["currency"] == "BTC"]


def test_every_value_is_what_plain_python_makes_of_the_exported_files(days: dict[str, Any], exported: list[dict[str, Any]]) -> None:
    day = days["2026-09-20"]
    for start, shown in ((390, day["before_expiry"]), (510, day["after_expiry"])):
        marks = window_by_hand(exported, 0, start)
        assert shown["measured"] == len(marks) == (12 if start == 390 else 11)
        for rule in (0, 1):
            assert shown["by_rule"][rule]["rule"] == RULES[rule]
            assert shown["by_rule"][rule]["gex_usd_per_pct"] == pytest.approx(median([one["gex"][rule] for one in marks]), rel=1e-8)
            assert shown["by_rule"][rule]["loop_gain"] == pytest.approx(median([one["gain"][rule] for one in marks]), rel=1e-8)
        assert shown["hedged_oi_ratio"] == pytest.approx(median([one["ratio"] for one in marks]), rel=1e-8)
        assert shown["hedged_open_interest_usd"] == pytest.approx(median([one["hedged"] for one in marks]), rel=1e-8)
    assert day["loop_gain"] == day["after_expiry"]["by_rule"][0]["loop_gain"]
    assert day["loop_gain"] < 0.0
    assert day["loop_gain_before_expiry"] == day["before_expiry"]["by_rule"][0]["loop_gain"]
    gains = [median([one["gain"][0] for one in window_by_hand(exported, 0, start)]) for start in (390, 510)]
    assert day["expiry_step"] == pytest.approx(gains[1] - gains[0], rel=1e-6)
    assert day["synthetic"]


def test_a_thin_day_has_no_value_and_a_disputed_one_gives_both_gains(days: dict[str, Any], exported: list[dict[str, Any]]) -> None:
    thin, split = days["2026-09-21"], days["2026-09-22"]
    assert (thin["loop_gain"], thin["reason"]) == (None, "5 of 12 five-minute marks were measured, 6 are needed")
    assert thin["loop_gain_before_expiry"] is thin["expiry_step"] is None
    assert (split["loop_gain"], split["regime"]) == (None, "undetermined")
    marks = window_by_hand(exported, 2, 510)
    by_hand_gains = [median([one["gain"][rule] for one in marks]) for rule in (0, 1)]
    assert by_hand_gains[0] < 0.0 < by_hand_gains[1]
    assert [rule["loop_gain"] for rule in split["after_expiry"]["by_rule"]] == pytest.approx(by_hand_gains, rel=1e-8)


def test_currencies_do_not_mix(store: Path) -> None:
    found, _ = IndexDays(IndexOf("ETH")).days(History.open(store), 0, FAR)
    assert [day["after_expiry"]["measured"] for day in found if day["date"] == "2026-09-22"] == [7]
    assert all(day["after_expiry"]["spot_usd"] is None or day["after_expiry"]["spot_usd"] < 10_000 for day in found)
    assert IndexDays(IndexOf("BTC", "elsewhere")).days(History.open(store), 0, FAR) == ([], None)


def test_deleted_or_damaged_days_come_back_byte_for_byte_and_kept_ones_are_not_measured_again(store: Path, tmp_path: Path) -> None:
    history, kept = History.open(store), tmp_path / "index"

    def dumped() -> bytes:
        return orjson.dumps(IndexDays(IndexOf("BTC"), keep=kept).days(history, 0, FAR)[0])

    first = dumped()
    written = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert len(written) == 3
    found, following = IndexDays(IndexOf("BTC"), keep=kept).days(history, 0, FAR, worked_out=0)
    assert (orjson.dumps(found), following) == (first, None)
    for path in kept.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    assert dumped() == first
    shutil.rmtree(kept)
    assert dumped() == first
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == written


def test_a_day_waits_for_its_end_and_is_worked_out_again_when_more_of_it_is_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "store") as recorder:
        for at_ns in times(0, [511.0, 516.0, 521.0, 526.0, 531.0, 569.9]):
            keep(recorder, small(at_ns))
        index = IndexDays(IndexOf("BTC"), keep=tmp_path / "kept")
        assert index.days(History.open(tmp_path / "store"), 0, FAR) == ([], None)
        keep(recorder, small(times(0, [570.0])[0]))
        first = index.days(History.open(tmp_path / "store"), 0, FAR)[0]
        keep(recorder, small(times(0, [541.0])[0]))  # from another recorder, later
        second = index.days(History.open(tmp_path / "store"), 0, FAR)[0]
    assert [day[0]["after_expiry"]["measured"] for day in (first, second)] == [6, 7]
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_the_command_writes_the_same_days_as_json_and_csv(store: Path, days: dict[str, Any], tmp_path: Path) -> None:
    copied = shutil.copytree(store, tmp_path / "copy")
    shown = run("index", str(copied), "--json", "-", "--csv", str(tmp_path / "index.csv"))
    found = strict(shown.out)
    assert found["days"] == list(days.values())
    assert found["definition"]["schema"] == "tailwag.index/1"
    lines = (tmp_path / "index.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["date", "currency", "loop_gain"]
    assert float(lines[1].split(",")[2]) == days["2026-09-20"]["loop_gain"]
    assert lines[2].split(",")[2] == ""
    one_day = run("index", str(copied), "--from", "2026-09-21T12:00:00Z", "--to", "2026-09-21T13:00:00Z")
    assert one_day.out.decode().startswith("2026-09-21 BTC SYNTHETIC  no loop gain: 5 of 12")
    for words in (["--from", "yesterday"], ["--json", "-", "--csv", "-"], ["--currency", "btc"]):
        assert run("index", str(copied), *words).code == 2
    assert run("index", str(tmp_path / "nowhere")).code == 2


def test_the_api_serves_the_days_a_few_at_a_time(store: Path, days: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(store, tmp_path / "copy")
    with live_service(folder, first=1) as live, httpx.Client(base_url=live.address, timeout=30.0, verify=False) as client:
        got: list[Any] = []
        asked: dict[str, str] = {"currency": "BTC"}
        for _ in range(5):
            answer = client.get("/api/v1/index", params=asked).json()
            assert len(answer["days"]) <= DAYS_WORKED_OUT
            got += answer["days"]
            if answer["next"] is None:
                break
            asked["from"] = answer["next"]
        assert {day["date"]: day for day in got if day["date"] in days} == days
        assert client.get("/api/v1/index", params={"currency": "DOGE"}).status_code == 404
        assert client.get("/api/v1/index", params={"currency": "btc"}).status_code == 422


def test_a_thinned_history_says_how_and_refuses_two_ways_at_once(tmp_path: Path) -> None:
    with live_service(tmp_path, first=14) as live, httpx.Client(base_url=live.address, timeout=30.0, verify=False) as client:

        def ask(**more: object) -> httpx.Response:
            return client.get("/api/v1/history", params={"field": "spot_usd", **more})  # type: ignore[arg-type]

        everything = ask().json()["points"]
        few, wide, all_there = ask(most=10).json(), ask(every_s=3600).json(), ask(most=5_000).json()
        assert "thinned" not in ask().json()
        assert len(few["points"]) <= 10 < len(everything) == few["thinned"]["measured"]
        assert all(one in everything for one in few["points"])
        assert wide["thinned"] == {"every_s": 3600.0, "measured": len(everything)}
        extremes = {pick(everything, key=lambda one: one["value"])["seq"] for pick in (min, max)}
        assert {one["seq"] for one in wide["points"]} == extremes | {everything[0]["seq"], everything[-1]["seq"]}
        assert (all_there["points"], all_there["thinned"]["every_s"]) == (everything, None)
        assert ask(most=10, every_s=5).status_code == ask(most=9).status_code == ask(every_s=0).status_code == 422
        for field in ("realised_vol_1h", "realised_vol_24h"):
            assert {one["value"] for one in client.get("/api/v1/history", params={"field": field}).json()["points"]} == {None}


def test_an_archive_keeps_few_documents_however_many_are_asked_for(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.service.live_service import OPTIONS

    monkeypatch.setattr("tailwag.service.archive.DOCUMENTS_KEPT", 3)
    archive = Archive(store, OPTIONS)
    entries = archive.index(1).entries
    for entry in [*entries[:6], entries[5], entries[0]]:
        assert archive.past(entry).seq == entry.record.seq
    assert sorted(archive._kept) == sorted([entries[4].record.seq, entries[5].record.seq, entries[0].record.seq])
