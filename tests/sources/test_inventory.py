"""Signed inventory of a store against an account in plain dicts: restarts, repeats, late prints, expiries, damage; equal to the bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sources.flow_oracle import Print, Shown, exact, inventory, unexplained

from tailwag.market.chain import Chain
from tailwag.market.recorded_flow import RecordedFlow
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.trades import Covered, Trades
from tailwag.positioning import RecordedFlowRule
from tailwag.sources.store import flow_past
from tailwag.sources.store.history import History
from tailwag.sources.store.inventory import StoreFlow
from tailwag.sources.store.recorder import Recorder
from tailwag.sources.store.trade_records import TradeBatch

SECOND, HOUR = 10**9, 3_600 * 10**9
START = 1_770_278_400 * SECOND  # 2026-02-05T08:00:00Z
EXPIRIES = {"6FEB26": START + 24 * HOUR, "7FEB26": START + 48 * HOUR, "27FEB26": START + 22 * 24 * HOUR}
EXPIRY = {f"BTC-{day}-{strike}-C": at for day, at in EXPIRIES.items() for strike in (90_000, 95_000, 100_000)}


def table(prints: list[Print], covered: tuple[Covered, ...] = ()) -> Trades:
    return Trades.from_columns(
        trade_id=[one.trade_id for one in prints],
        instrument=[one.instrument for one in prints],
        time_ns=[one.time for one in prints],
        taker_sign=[one.sign for one in prints],
        amount_coin=[one.amount for one in prints],
        is_block=[one.is_block for one in prints],
        liquidated=[one.liquidated for one in prints],
        venue=["deribit"] * len(prints),
        covered=covered,
    )


def snapshot(shown: Shown, covered: tuple[Covered, ...] = ()) -> Snapshot:
    names = list(shown.interest)
    chain = Chain.from_columns(
        currency="BTC",
        as_of_ns=shown.as_of,
        instrument=names,
        venue=["deribit"] * len(names),
        right=[1] * len(names),
        strike_usd=[float(name.split("-")[2]) for name in names],
        expiry_ns=[EXPIRY[name] for name in names],
        coin_per_contract=[1.0] * len(names),
        open_interest_contracts=[np.nan if coin is None else coin for coin in shown.interest.values()],
        iv=[0.5] * len(names),
    )
    return Snapshot(
        "BTC", shown.as_of, 95_000.0, chain, Futures.from_columns(), Source("test", "test"), trades=table(shown.trades, covered)
    )


class Market:
    """A random market: trades that print late or twice, snapshots with what came since, batches in between."""

    def __init__(self, seed: int, steps: int = 59) -> None:
        self.rng = np.random.default_rng(seed)
        self.printed: list[Print] = []
        self.records: list[Shown | list[Print]] = []
        self.interest = dict.fromkeys(EXPIRY, 0.0)
        waiting: list[Print] = []
        for step in range(steps):
            now = START + (step + 1) * HOUR
            waiting += [self._trade(now) for _ in range(int(self.rng.integers(0, 8)))]
            # an option that has expired is no longer accounted for: nothing prints later than that
            late = [one for one in waiting if self.rng.random() < 0.2 and EXPIRY[one.instrument] > now + HOUR]
            given = [one for one in waiting if one not in late]
            repeats = [self.printed[int(self.rng.integers(len(self.printed)))] for _ in range(2)] if self.printed else []
            given = [*given, *repeats]
            self.rng.shuffle(given)  # type: ignore[arg-type]
            self.printed += given
            self.records.append([Print(*one) for one in given] if step % 7 == 3 and given else self._shown(now, given))
            waiting = late
        self.shown = [one for one in self.records if isinstance(one, Shown)]

    def _trade(self, now: int) -> Print:
        name = [name for name, at in EXPIRY.items() if at > now - HOUR][
            int(self.rng.integers(sum(at > now - HOUR for at in EXPIRY.values())))
        ]
        amount = round(float(self.rng.exponential(5.0)) + 0.1, int(self.rng.integers(1, 5)))
        kind = ["", "", "", "M", "T", "MT"][int(self.rng.integers(6))]
        time = min(now - int(self.rng.integers(0, HOUR)), EXPIRY[name] - 1)
        self.interest[name] = max(0.0, self.interest[name] + float(self.rng.choice([amount, -amount, 0.0])))
        ids = self.rng.integers(0, 1 << 40)
        return Print(f"{int(ids)}", name, time, int(self.rng.choice([-1, 1])), amount, bool(self.rng.random() < 0.2), kind)

    def _shown(self, now: int, given: list[Print]) -> Shown:
        alive = {name: coin for name, coin in self.interest.items() if EXPIRY[name] > now}
        noisy = {
            name: None if self.rng.random() < 0.05 else round(coin + float(self.rng.integers(0, 3)), 4) for name, coin in alive.items()
        }
        return Shown(now, noisy, [Print(*one) for one in given])


def put(recorder: Recorder, record: Shown | list[Print], covered: tuple[Covered, ...] = ()) -> Any:
    if isinstance(record, Shown):
        return recorder.append(snapshot(record, covered), received_ns=record.as_of)
    return recorder.append_trades(TradeBatch("BTC", table(record, covered), "test"), received_ns=1)


def recorded(folder: Path, market: Market, *, sittings: int = 1) -> Path:
    parts = np.array_split(np.arange(len(market.records)), sittings)
    for part in parts:
        with Recorder(folder) as recorder:
            for place in part:
                put(recorder, market.records[place])
    return folder


def net(flow: RecordedFlow, *, maker_side: bool = False) -> dict[str, Fraction]:
    """What the rule holds where open interest has no end, as exact numbers."""
    names = sorted(EXPIRY)
    chain = Chain.from_columns(
        currency="BTC",
        as_of_ns=flow.as_of_ns,
        instrument=names,
        venue=["deribit"] * len(names),
        expiry_ns=[EXPIRY[name] for name in names],
        coin_per_contract=[1.0] * len(names),
        open_interest_contracts=[1e9] * len(names),
    )
    rule = RecordedFlowRule(lambda currency, at: flow, "test", blocks="maker-side" if maker_side else "exclude")
    held = rule.infer(chain).position_coin.tolist() if len(flow) else [0.0] * len(names)
    return {name: exact(coin) for name, coin in zip(names, held, strict=True)}


def expected(market: Market, at: int, *, maker_side: bool = False) -> dict[str, Fraction]:
    return dict.fromkeys(sorted(EXPIRY), Fraction(0)) | inventory(market.printed, EXPIRY, at, maker_side=maker_side)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_whole_streams_with_restarts_repeats_and_late_prints_equal_the_account(tmp_path: Path, seed: int) -> None:
    market = Market(seed)
    folder = recorded(tmp_path / "store", market, sittings=1 + seed)
    at = market.shown[-1].as_of
    flow = StoreFlow(folder).flow("BTC", at)
    assert net(flow) == expected(market, at)
    assert net(flow, maker_side=True) == expected(market, at, maker_side=True)
    assert any(expected(market, at).values())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_accumulated_as_it_is_recorded_or_taken_up_again_it_is_the_same(tmp_path: Path, seed: int) -> None:
    """Live and told of each snapshot, put down and taken up at random, or read at the end from nothing: one result, coverage included."""
    market, rng = Market(seed + 20), np.random.default_rng(seed)
    live = StoreFlow(tmp_path)
    with Recorder(tmp_path) as recorder:
        for record in market.records:
            done = put(recorder, record)
            if isinstance(record, Shown):
                live.recorded(snapshot(record), seq=done.seq, sha256=done.sha256)
                found = live.flow("BTC", record.as_of)
                if rng.random() < 0.2:
                    live.close()
                    live = StoreFlow(tmp_path)
    at = market.shown[-1].as_of
    assert net(found) == net(live.flow("BTC", at)) == expected(market, at)
    change, missing = unexplained(market.shown, market.printed)
    (tmp_path / "inventory" / "BTC.state").unlink(missing_ok=True)
    for flow in (found, StoreFlow(tmp_path).flow("BTC", at)):
        assert exact(flow.coverage.open_interest_change_coin) == change
        assert exact(flow.coverage.unexplained_change_coin) == missing
    assert 0 < missing < change


def test_any_past_time_counts_what_had_been_recorded_by_then(tmp_path: Path) -> None:
    market = Market(40)
    folder = recorded(tmp_path, market)
    flow = StoreFlow(folder)
    flow.flow("BTC", market.shown[-1].as_of)
    for place in (5, 30, 12, 13, 40):
        at = market.shown[place].as_of
        known = [one for record in market.records for one in (record.trades if isinstance(record, Shown) else record)]
        known = [
            t for r in market.records for t in (r.trades if isinstance(r, Shown) and r.as_of <= at else [] if isinstance(r, Shown) else r)
        ]
        want = dict.fromkeys(sorted(EXPIRY), Fraction(0)) | inventory(known, EXPIRY, at)
        assert net(flow.flow("BTC", at)) == want


def known_by(market: Market, at: int) -> dict[str, Fraction]:
    """What the batches, and the snapshots of that time or an earlier one, say was traded by then."""
    known = [t for r in market.records for t in (r.trades if isinstance(r, Shown) and r.as_of <= at else [] if isinstance(r, Shown) else r)]
    return dict.fromkeys(sorted(EXPIRY), Fraction(0)) | inventory(known, EXPIRY, at)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow), pytest.param(16, marks=pytest.mark.slow)])
def test_the_past_from_kept_states_is_the_past_walked_anew(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random times, restarts between, states that are damaged or gone, and trades filled in later: always the account's answer."""
    monkeypatch.setattr(flow_past, "STEP_RECORDS", step)
    market, rng = Market(80 + step), np.random.default_rng(step)
    flow = StoreFlow(recorded(tmp_path, market))
    for turn in range(24):
        at = market.shown[int(rng.integers(len(market.shown)))].as_of + int(rng.integers(0, 2)) * 600 * SECOND
        assert net(flow.flow("BTC", at)) == known_by(market, at), turn
        files = sorted((tmp_path / "inventory" / "past").glob("BTC-*.state"))
        if turn % 4 == 1 and files:
            path = files[int(rng.integers(len(files)))]
            data = bytearray(path.read_bytes())
            data[int(rng.integers(len(data)))] ^= 4
            path.write_bytes(bytes(data)) if turn % 8 == 1 else path.unlink()
        if turn % 3 == 2:
            flow = StoreFlow(tmp_path)
        if turn in (7, 15):
            filled = [Print(f"filled {turn} {k}", "BTC-27FEB26-90000-C", START + k * HOUR, 1, 2.0, False, "") for k in range(1, 9, 2)]
            market.records.append(filled)
            with Recorder(tmp_path) as recorder:
                put(recorder, filled)
    assert list((tmp_path / "inventory" / "past").glob("BTC-*.state"))


def test_a_question_about_the_past_reads_few_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_past, "STEP_RECORDS", 4)
    market, read = Market(90), []
    walk = flow_past.light_records

    def counted(history: History, entries: Any) -> Any:
        for pair in walk(history, entries):
            read.append(pair[0].record.seq)
            yield pair

    flow, batches = StoreFlow(recorded(tmp_path, market)), sum(not isinstance(one, Shown) for one in market.records)
    flow.flow("BTC", market.shown[-2].as_of)
    flow.close()
    monkeypatch.setattr(flow_past, "light_records", counted)
    for shown in market.shown[-3:5:-7]:
        read.clear()
        StoreFlow(tmp_path).flow("BTC", shown.as_of)  # also after a restart
        assert 0 < len(read) <= 4 + batches
    monkeypatch.setattr(flow_past, "MOST_KEPT", 4)
    StoreFlow(tmp_path).flow("BTC", market.shown[-2].as_of)
    assert len(list((tmp_path / "inventory" / "past").glob("BTC-*.state"))) <= 16


def test_a_snapshot_measured_after_newer_ones_were_recorded_does_not_see_their_trades(tmp_path: Path) -> None:
    name = "BTC-27FEB26-90000-C"
    live = StoreFlow(tmp_path)
    with Recorder(tmp_path) as recorder:
        for k in range(3):
            now = START + 60 * SECOND * k
            shown = Shown(now, {name: 100.0}, [Print(f"{k}", name, now, 1, 1.0 + k, False, "")])
            done = recorder.append(snapshot(shown), received_ns=now)
            live.recorded(snapshot(shown), seq=done.seq, sha256=done.sha256)
            live.flow("BTC", now)
        assert [live.flow("BTC", START + 60 * SECOND * k).taker_coin.tolist() for k in (2, 1, 0)] == [[6.0], [3.0], [1.0]]


def test_a_damaged_checkpoint_is_made_again_and_told(tmp_path: Path) -> None:
    market, said = Market(50), []
    at = market.shown[-1].as_of
    first = StoreFlow(recorded(tmp_path, market))
    first.flow("BTC", at)
    first.close()
    path = tmp_path / "inventory" / "BTC.state"
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(8):
        data = bytearray(whole)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data) if rng.random() < 0.8 else whole[: int(rng.integers(len(whole)))])
        assert net(StoreFlow(tmp_path, say=said.append).flow("BTC", at)) == expected(market, at)
    assert len(said) == 8
    assert all("accumulating it again" in text for text in said)


def test_a_checkpoint_of_another_copy_is_not_believed(tmp_path: Path) -> None:
    one, other, said = Market(60), Market(61), []
    first = StoreFlow(recorded(tmp_path / "one", one))
    first.flow("BTC", one.shown[-1].as_of)
    first.close()
    recorded(tmp_path / "other", other)
    (tmp_path / "other" / "inventory").mkdir()
    (tmp_path / "other" / "inventory" / "BTC.state").write_bytes((tmp_path / "one" / "inventory" / "BTC.state").read_bytes())
    at = other.shown[-1].as_of
    assert net(StoreFlow(tmp_path / "other", say=said.append).flow("BTC", at)) == expected(other, at)
    assert "another copy" in said[0]


def test_damaged_records_cost_their_own_trades_and_are_counted(tmp_path: Path) -> None:
    market = Market(70)
    folder = recorded(tmp_path, market)
    history = History.open(folder)
    lost = [history.entries[10], history.batches[2]]
    for entry in lost:
        path = next(folder.glob("segment-*.tws"))
        data = bytearray(path.read_bytes())
        data[entry.end - 40] ^= 8
        path.write_bytes(bytes(data))
    gone = {entry.record.seq for entry in lost}
    kept = [record for seq, record in enumerate(market.records, start=1) if seq not in gone]
    trades = [one for record in kept for one in (record.trades if isinstance(record, Shown) else record)]
    at = market.shown[-1].as_of
    flow = StoreFlow(folder).flow("BTC", at)
    assert net(flow) == dict.fromkeys(sorted(EXPIRY), Fraction(0)) | inventory(trades, EXPIRY, at)
    assert flow.coverage.damaged_records == 2


def test_gaps_and_whole_lives_are_stated(tmp_path: Path) -> None:
    old, new = "BTC-27FEB26-90000-C", "BTC-27FEB26-95000-C"
    hours = [START + k * HOUR for k in range(6)]
    with Recorder(tmp_path) as recorder:
        for k, now in enumerate(hours):
            interest: dict[str, float | None] = {old: 100.0 + k} | ({new: 5.0} if k >= 4 else {})
            covered = () if k == 2 else (Covered("deribit", now - HOUR, now),)
            recorder.append(snapshot(Shown(now, interest, [Print(f"{k}", old, now - 5, 1, 1.0, False, "")]), covered), received_ns=now)
    flow = StoreFlow(tmp_path).flow("BTC", hours[-1])
    assert flow.coverage.gaps == (("deribit", hours[1], hours[2]),)
    assert flow.whole_life == {("deribit", new)}
    assert "with 1 gaps of 1.0 hours" in flow.coverage.sentence()
    chain = snapshot(Shown(hours[-1], {old: 105.0, new: 5.0}, [])).chain
    held = RecordedFlowRule(StoreFlow(tmp_path).flow, "market").infer(chain)
    assert held.position_coin.tolist() == [-6.0, 0.0]
    assert f"{5.0 / 110.0:.1%} of open interest" in held.notes[1]
    # five changes of one coin, each traded; the new one's five were not
    assert f"can explain {5.0 / 10.0:.1%}" in held.notes[1]
    assert "with 1 gaps" in held.assumption


def test_inventory_is_held_within_open_interest_and_dies_with_its_expiry(tmp_path: Path) -> None:
    name = "BTC-6FEB26-90000-C"
    with Recorder(tmp_path) as recorder:
        recorder.append(snapshot(Shown(START, {name: 3.0}, [Print("1", name, START - 1, 1, 10.0, False, "")])), received_ns=1)
        chain = snapshot(Shown(START, {name: 3.0}, [])).chain
        assert RecordedFlowRule(StoreFlow(tmp_path).flow, "x").infer(chain).position_coin.tolist() == [-3.0]
        recorder.append(snapshot(Shown(EXPIRY[name] + HOUR, {"BTC-27FEB26-90000-C": 1.0}, [])), received_ns=2)
    assert len(StoreFlow(tmp_path).flow("BTC", EXPIRY[name] + HOUR)) == 0
