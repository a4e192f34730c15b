"""The plan's figures once more, written from the plan's words in plain loops over rows: nothing of the study's own designs or errors is used."""

from __future__ import annotations

import bisect
import gzip
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tailwag.experiments.study.estimates import PINNING, PRIMARY_DAYS, REGRESSIONS, SECONDARY_DAYS, hypothesis_design
from tailwag.experiments.study.inference import robust_fit
from tailwag.experiments.study.inputs import read_inputs
from tailwag.experiments.study.out_of_sample import out_of_sample
from tailwag.experiments.study.panel_measure import EXPIRING_FLOWS
from tailwag.experiments.study.panel_snapshot import CONTRASTS
from tailwag.experiments.study.pinning import pins
from tailwag.units import NS_PER_DAY

ROOT = Path(__file__).parents[3]
QUARTER, HOUR, DAY = 900 * 10**9, 3_600 * 10**9, 86_400 * 10**9
DEPTH, YEAR = 5e8, 365 * DAY
Row = dict[str, Any]


@dataclass(frozen=True)
class Market:
    """Snapshots in the order in which they were known, and log closes by the time at which their candle ends."""

    rows: list[Row]
    close: dict[int, float]

    @cached_property
    def ends(self) -> list[int]:
        return sorted(self.close)

    @cached_property
    def moves(self) -> dict[int, float]:
        return {end: here - self.close[end - QUARTER] for end, here in self.close.items() if end - QUARTER in self.close}

    @cached_property
    def hours(self) -> dict[int, float]:
        quarters = {end: [self.moves.get(end - back * QUARTER) for back in range(4)] for end in self.ends if end % HOUR == 0}
        return {end: math.fsum(four) for end, four in quarters.items() if None not in four}  # type: ignore[arg-type]

    @cached_property
    def known(self) -> list[int]:
        return [row["known_ns"] for row in self.rows]

    def last(self, time: int) -> Row | None:
        """The last snapshot known by a time, twelve hours old at most."""
        place = bisect.bisect_right(self.known, time) - 1
        return self.rows[place] if place >= 0 and time - self.known[place] <= 12 * HOUR else None

    def price(self, time: int) -> float | None:
        """The last close by a time, younger than an hour."""
        ends = range(time // QUARTER * QUARTER, time - HOUR, -QUARTER)
        return next((self.close[end] for end in ends if end in self.close), None)

    def past(self, time: int, days: int) -> float | None:
        now, then = self.price(time), self.price(time - days * DAY)
        return None if now is None or then is None else now - then

    def vol(self, start: int, end: int, share: float) -> float | None:
        """Annualised root mean square of the quarters of an hour between two times."""
        if start < self.ends[0] - QUARTER or end > self.ends[-1]:
            return None
        found = [self.moves[at] for at in range(start + QUARTER, end + 1, QUARTER) if at in self.moves]
        enough = found and len(found) >= share * ((end - start) // QUARTER) - 1e-9 and any(found)
        return math.sqrt(math.fsum(one * one for one in found) / len(found) * YEAR / QUARTER) if enough else None


def market(panel: Path, candles: Path) -> Market:
    """The plan's own assumptions: long-calls-short-puts, sticky-strike, USD 500 million per 1 %."""
    raw = candles.read_bytes()
    table = pl.read_csv(io.BytesIO(gzip.decompress(raw) if candles.suffix == ".gz" else raw))
    close = {
        at * 10**6 + QUARTER: math.log(price) for at, price, size in table.select("timestamp", "close", "volume").iter_rows() if size > 0
    }
    own = pl.read_parquet(panel / "panel.parquet").filter(
        (pl.col("currency") == "BTC") & (pl.col("rule") == "long-calls-short-puts") & (pl.col("dynamics") == "sticky-strike")
    )
    dollars = {row["snapshot"]: row for row in own.iter_rows(named=True)}
    rows = []
    for row in pl.read_parquet(panel / "snapshots.parquet").filter(pl.col("currency") == "BTC").sort("known_ns").iter_rows(named=True):
        if row["status"] != "ok" or row["masked_share"] > 0.2:
            continue
        under = dollars[row["snapshot"]]
        row |= {"gain": -under["gex_usd_per_pct"] / DEPTH, "expiring": -under["expiring_gamma_usd_per_pct"] / DEPTH}
        row |= {
            "gross": row["gross_gamma_usd_per_pct"] / DEPTH,
            "share": row["next_expiry_gross_gamma_usd_per_pct"] / row["gross_gamma_usd_per_pct"],
        }
        rows.append(row)
    return Market(rows, close)


def scale(moves: dict[int, float], end: int, step: int, window: int, least: int) -> float | None:
    found = [moves[end - back * step] for back in range(1, window + 1) if end - back * step in moves]
    return math.sqrt(math.fsum(one * one for one in found) / len(found)) if len(found) >= least else None


@dataclass
class Sample:
    """Outcomes, columns and times; the first column is the one that the plan is about."""

    outcome: list[float]
    columns: list[list[float]]
    times: list[int]

    def add(self, outcome: float, columns: list[float], time: int) -> None:
        self.outcome.append(outcome)
        self.columns.append(columns)
        self.times.append(time)


def less_mean(sample: Sample, places: range, by: int | None) -> np.ndarray:
    """The columns as an array; those of ``places`` less their mean, times the column ``by``; columns of one value but the constant dropped."""
    x = np.array(sample.columns)
    x[:, places] -= x[:, places].mean(axis=0)
    if by is not None:
        x[:, places] *= x[:, [by]]
    return x[:, [place for place in range(x.shape[1]) if place == 1 or np.ptp(x[:, place]) > 0.0]]


def reversal(told: Market) -> tuple[Sample, np.ndarray]:
    made = Sample([], [], [])
    for end, now in told.moves.items():
        row, size = told.last(end), scale(told.moves, end, QUARTER, 96, 90)
        trends = [told.past(end, days) for days in (1, 5, 20)]
        if row is None or not size or end + QUARTER not in told.moves or None in trends:
            continue
        x, y = (min(max(one / size, -5.0), 5.0) for one in (now, told.moves[end + QUARTER]))
        hours = [x * (end // (4 * HOUR) % 6 == block) for block in range(6)]
        past = [trend / math.sqrt(days) for trend, days in zip(trends, (1, 5, 20)) if trend is not None]
        made.add(y, [row["gain"] * x, 1.0, row["gross"], math.log(row["atm_iv_7d"]), math.log(size), *past, x, *hours], end)
    return made, np.delete(less_mean(made, range(2, 8), 8), 8, axis=1)  # the return itself is the sum of its six blocks


def shocks(told: Market) -> tuple[Sample, np.ndarray]:
    made = Sample([], [], [])
    for end, now in told.hours.items():
        row, size = told.last(end), scale(told.hours, end, HOUR, 168, 150)
        trends = [told.past(end, days) for days in (1, 5, 20)]
        if row is None or not size or end + HOUR not in told.hours or abs(now) <= 2.0 * size or None in trends:
            continue
        past = [trend / math.sqrt(days) for trend, days in zip(trends, (1, 5, 20)) if trend is not None]
        far = abs(now) / size
        made.add(
            math.copysign(told.hours[end + HOUR] / size, now * told.hours[end + HOUR]),
            [row["gain"] * far, 1.0, far, row["gross"], *past],
            end,
        )
    return made, less_mean(made, range(3, 7), 2)


def realised(told: Market, hours: int) -> tuple[Sample, np.ndarray]:
    made = Sample([], [], [])
    for row in told.rows:
        at = row["known_ns"]
        start, end = -(-at // QUARTER) * QUARTER, at // QUARTER * QUARTER
        outcome = told.vol(start, start + hours * HOUR, 90 / 96 if hours == 24 else 1.0)
        before = [told.vol(end - HOUR, end, 1.0)] * (hours == 1) + [told.vol(end - past * HOUR, end, 0.9) for past in (24, 168, 720)]
        trends = [told.past(end, days) for days in (1, 7, 30)]
        if outcome is None or row["gain"] >= 0.9 or None in before or None in trends:
            continue
        weekend = sum((at + hour * HOUR) // DAY % 7 in (2, 3) for hour in range(hours)) / hours  # 1 January 1970 was a Thursday
        clock = [float(at // (4 * HOUR) % 6 == block) for block in range(1, 6)] if hours == 1 else []
        vols = [math.log(one) for one in (row["atm_iv_1d"], row["atm_iv_7d"], *before) if one is not None]
        made.add(
            math.log(outcome), [-math.log(1.0 - row["gain"]), 1.0, *vols, *(one for one in trends if one is not None), weekend, *clock], at
        )
    return made, less_mean(made, range(0), None)


def expiry(told: Market) -> tuple[Sample, np.ndarray]:
    made = Sample([], [], [])
    for at, row in mornings(told, HOUR // 2):
        before, after = told.vol(at - 4 * HOUR, at - HOUR // 2, 1.0), told.vol(at, at + 4 * HOUR, 1.0)
        left = row["gain"] - row["expiring"]
        if before is None or after is None or row["gain"] >= 0.9 or left >= 0.9:
            continue
        day = (at // DAY + 3) % 7
        changed = math.log(1.0 - left) - math.log(1.0 - row["gain"])
        made.add(math.log(after / before), [changed, 1.0, float(day == 4), float(day >= 5), row["share"]], at)
    return made, less_mean(made, range(4, 5), None)


def pinned(told: Market) -> tuple[Sample, np.ndarray]:
    made = Sample([], [], [])
    for at, row in mornings(told, 12 * HOUR):
        spot, strike = math.log(row["spot_usd"]), math.log(row["near_strike_usd"])
        if at not in told.close or strike == spot or abs(strike - spot) > 0.03:
            continue
        price, size = told.close[at], row["atm_iv_1d"] * math.sqrt((at - row["known_ns"]) / YEAR)
        made.add((abs(price - 2.0 * spot + strike) - abs(price - strike)) / size, [0.0, 1.0], at)
    return made, np.ones((len(made.times), 1))


def mornings(told: Market, before: int) -> Iterator[tuple[int, Row]]:
    """08:00 UTC of each whole day, and the last snapshot known so long before, where its next expiry is that one."""
    for day in range(told.ends[0] // DAY + 1, told.ends[-1] // DAY):
        at = day * DAY + 8 * HOUR
        row = told.last(at - before)
        if row is not None and row["next_expiry_ns"] == at:
            yield at, row


def figures(sample: Sample, x: np.ndarray, days: int) -> dict[str, float]:
    """The first coefficient and its errors: one fit for each block of days that is left out."""
    from scipy import special

    y, block = np.array(sample.outcome), np.array(sample.times) // (days * DAY)
    whole = fitted(x, y)[0]
    without = [fitted(x[block != one], y[block != one])[0] for one in sorted(set(block.tolist()))]
    count = len(without)
    error = math.sqrt((count - 1) / count * sum((one - whole) ** 2 for one in without))
    reach = float(special.stdtrit(count - 1, 0.975))
    return {
        "value": whole,
        "low": whole - reach * error,
        "high": whole + reach * error,
        "seen_at": (reach + float(special.stdtrit(count - 1, 0.8))) * error,
        "rows": len(y),
        "blocks": count,
    }


def fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])


def forecast(sample: Sample, x: np.ndarray) -> dict[str, float]:
    """Each day's rows from those whose day was over as it began, with and without the first column; the adjusted difference of Clark and West."""
    y, at = np.array(sample.outcome), np.array(sample.times)
    with_it, without, losses, adjusted = 0.0, 0.0, [], []
    for place, time in enumerate(at):
        before, begun = at + DAY <= time // DAY * DAY, time // DAY * DAY >= at[0] + 60 * DAY
        if not begun or before.sum() <= 2 * x.shape[1]:
            continue
        own = float(x[place] @ fitted(x[before], y[before]))
        other = float(x[place, 1:] @ fitted(x[before, 1:], y[before]))
        with_it, without = with_it + (y[place] - own) ** 2, without + (y[place] - other) ** 2
        adjusted.append((y[place] - other) ** 2 - (y[place] - own) ** 2 + (own - other) ** 2)
        losses.append(math.exp(2.0 * (y[place] - own)) - 2.0 * (y[place] - own) - 1.0)
    return {"r2": 1.0 - with_it / without, "clark_west": float(np.mean(adjusted)), "qlike": float(np.mean(losses)), "rows": len(losses)}


def by_hand(told: Market) -> dict[str, dict[str, float]]:
    """Every hypothesis of the plan."""
    day = realised(told, 24)
    made = {"reversal": reversal(told), "realised-vol": day, "realised-vol-1h": realised(told, 1), "shocks": shocks(told)}
    made |= {"expiry": expiry(told), PINNING: pinned(told)}
    found = {name: figures(*one, days=PRIMARY_DAYS if name == "reversal" else SECONDARY_DAYS) for name, one in made.items()}
    return found | {"out-of-sample": forecast(*day)}


def write_rough_market(folder: Path, *, days: int = 124) -> None:
    """Candles with jumps, gaps and hours without volume; snapshots some six hours apart with days missing, masked and refused ones, and gains from 0.9 on."""
    draw = np.random.default_rng(11)
    start, count = 1_767_225_600 * 10**9, days * 96
    ends = start + QUARTER * np.arange(1, count + 1)
    price = np.log(60_000.0) + np.cumsum(0.003 * np.clip(draw.standard_t(2.5, count), -12.0, 12.0))
    there = (draw.random(count) > 0.0005) | (np.arange(count) < 100)
    size = np.where(draw.random(count) > 0.0005, 10.0, 0.0)
    table = pl.DataFrame({"timestamp": (ends - QUARTER) // 10**6, "close": np.exp(price), "volume": size})
    table.filter(pl.Series(there)).write_csv(folder / "candles.csv")
    at = np.sort(start + 12 * HOUR + (draw.random(4 * days) * days * DAY).astype(np.int64))
    at = at[(at // DAY) % 19 != 0]
    rows = at.size
    spot = np.exp(price[np.minimum((at - start) // QUARTER, count - 1)]) * (1.0 + 0.001 * draw.normal(size=rows))
    gross = 1.0 + draw.random(rows)
    parts = dict.fromkeys(CONTRASTS, 0.25 * DEPTH * gross)
    gain = np.where(draw.random(rows) < 0.03, 0.95, 0.9 * np.clip(np.convolve(draw.normal(size=rows), np.ones(9) / 3.0, "same"), -0.9, 0.9))
    named = {"snapshot": [f"made-{place}" for place in range(rows)], "currency": "BTC"}
    snapshots = {
        "status": np.where(draw.random(rows) < 0.02, "refused", "ok"),
        "known_ns": at,
        "masked_share": np.where(draw.random(rows) < 0.03, 0.5, 0.1),
        "gross_gamma_usd_per_pct": DEPTH * gross,
        "next_expiry_gross_gamma_usd_per_pct": DEPTH * gross * draw.random(rows),
        "next_expiry_ns": (at // DAY + (at % DAY >= 8 * HOUR) + (draw.random(rows) < 0.05)) * DAY + 8 * HOUR,
        "spot_usd": spot,
        "atm_iv_1d": 0.5 + 0.3 * draw.random(rows),
        "atm_iv_7d": 0.5 + 0.3 * draw.random(rows),
        "near_strike_usd": spot * (1.0 + 0.035 * (2.0 * draw.random(rows) - 1.0)),
    }
    panel = {
        "rule": "long-calls-short-puts",
        "law": "given",
        "dynamics": "sticky-strike",
        "gex_usd_per_pct": -DEPTH * gain,
        "expiring_gamma_usd_per_pct": -DEPTH * gain * draw.random(rows),
    }
    flows = dict.fromkeys(("flow_down_1pct_usd", "flow_up_1pct_usd", *EXPIRING_FLOWS), 0.0)
    told = {}
    for name, columns in {"snapshots.parquet": named | snapshots | parts, "panel.parquet": named | panel | flows}.items():
        pl.DataFrame(columns).write_parquet(folder / name)
        told[name] = {"rows": rows, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
    (folder / "history.json").write_text(json.dumps({"schema": "tailwag.history/1", "tables": told}))


def test_on_a_rough_made_market_the_study_says_what_plain_loops_say(tmp_path: Path) -> None:
    write_rough_market(tmp_path)
    mine = by_hand(market(tmp_path, tmp_path / "candles.csv"))
    inputs = read_inputs(str(tmp_path), str(tmp_path / "candles.csv"), currency="BTC")
    known, returns = inputs.view.known, inputs.market.returns
    for name in REGRESSIONS:
        design = hypothesis_design(name, known, returns, inputs.plan)
        one = robust_fit(design, block_ns=(PRIMARY_DAYS if name == "reversal" else SECONDARY_DAYS) * NS_PER_DAY)[0]
        assert {key: getattr(one, key) for key in mine[name]} == pytest.approx(mine[name], rel=1e-7, abs=1e-9), name
    found = pins(known, returns, most_age_hours=12)
    assert (found.nearer.mean(), found.nearer.size) == pytest.approx((mine[PINNING]["value"], mine[PINNING]["rows"]), rel=1e-9)
    told = out_of_sample(hypothesis_design("realised-vol", known, returns, inputs.plan), horizon_ns=NS_PER_DAY)
    assert {"r2": told.r2, "clark_west": told.clark_west.value, "qlike": told.qlike["with"], "rows": told.rows} == pytest.approx(
        mine["out-of-sample"], rel=1e-6, abs=1e-9
    )


@pytest.mark.realdata
@pytest.mark.slow
def test_what_is_published_is_what_plain_loops_say(tmp_path: Path) -> None:
    """The panel is built anew under the plan's own assumptions alone; every published interval, and the sign flips of pinning."""
    folder = os.environ.get("TAILWAG_DATA")
    if not folder:
        pytest.skip("set TAILWAG_DATA to the folder of real market data")
    sys.path.insert(0, str(ROOT / "tools"))
    import make_evidence as made

    from tailwag.experiments.study.history import build_history
    from tailwag.experiments.study.history_options import HistoryOptions

    build_history([str(Path(folder) / made.CHAINS)], tmp_path, HistoryOptions(rules=("long-calls-short-puts",), depth_usd_per_pct=DEPTH))
    agree(market(tmp_path, Path(folder) / made.CANDLES), json.loads(made.RESULTS.read_text()))


def agree(told: Market, published: Row) -> None:
    mine = by_hand(told)
    for entry in published["hypotheses"]:
        name, one = entry["name"], entry["estimates"][0]
        assert {key: one[key] for key in mine[name]} == pytest.approx(mine[name], rel=1e-7, abs=1e-9), name
    forecasts = published["out_of_sample"]
    said = {
        "r2": forecasts["r2"],
        "clark_west": forecasts["clark_west"]["value"],
        "qlike": forecasts["qlike"]["with"],
        "rows": forecasts["rows"],
    }
    assert said == pytest.approx(mine["out-of-sample"], rel=1e-7)
    figure = np.array(pinned(told)[0].outcome)
    flips = np.random.default_rng(99).choice([-1.0, 1.0], (20_000, figure.size)) @ figure
    p_value = float(np.mean(np.abs(flips) >= abs(figure.sum())))
    [published_p] = [entry["estimates"][0]["p_value"] for entry in published["hypotheses"] if entry["name"] == PINNING]
    assert p_value == pytest.approx(published_p, abs=0.025), "four errors of both"
