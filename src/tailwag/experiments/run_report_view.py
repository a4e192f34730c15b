"""A run as a desk head asks about it: how much vol do hedgers add, where does price pin, when does it run away, who pays what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tailwag.experiments.report_view import Tile, part, records
from tailwag.experiments.run_liquidations import liquidation_sentences
from tailwag.experiments.run_moved_by import NOBODY_HEDGING, moved_by
from tailwag.experiments.run_report_words import dollars, error_of, number, percent, share, tells, value_of
from tailwag.experiments.run_takeovers import takeover_sentences
from tailwag.experiments.scenario_source import LAW_WORDS
from tailwag.figures.labels import moment
from tailwag.figures.numbers import UNKNOWN, gain_text, known, money, price
from tailwag.figures.numbers import percent as signed_percent
from tailwag.sim.metrics_sentences import span

Document = Mapping[str, Any]
SYNTHETIC = "SYNTHETIC"
STOPS = {"runaway": "ran away", "depth_exhausted": "exhausted the depth", "halted": "were halted"}
RUNS_AWAY = 0.05
"""Where this share of paths ran away, that is the answer, whatever the vol of the others."""
PIN_ERRORS = 3.0
"""Many strikes are watched: the largest of twenty differences passes two errors by luck, but hardly three."""
MOST_AGENTS = 3


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What a reader must know first: the headline, one answer to each question, four numbers, what was assumed."""

    title: str
    headline: str
    regime: str
    regime_name: str
    regime_meaning: str
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    tiles: tuple[Tile, ...]
    assumptions: tuple[tuple[str, str], ...]
    synthetic: bool
    doubts: tuple[str, ...]
    degraded: tuple[str, ...] = ()


def run_answer(document: Document) -> RunAnswer:
    """The first screen of a report of a run (schema ``tailwag.run/1``).

    >>> run_answer({}).headline
    'What hedging adds to vol is unknown.'
    """
    regime, name, meaning = _regime(document)
    said = notes(document)
    return RunAnswer(
        title=_title(document),
        headline=_headline(document),
        regime=regime,
        regime_name=name,
        regime_meaning=meaning,
        answers=(
            (
                "How much vol do hedgers add?" if moved_by(document).is_hedging_alone else "How much vol does trading add?",
                tuple(_vol(document)),
            ),
            ("Where does price pin?", tuple(_pins(document))),
            ("When does it run away?", tuple(_runaway(document))),
            *_liquidated(document),
            ("Who earns and pays what?", tuple(_accounts(document))),
            ("What does a bad day cost?", tuple(_tail(document))),
        ),
        tiles=(_vol_tile(document), _runaway_tile(document), _gain_tile(document), _tail_tile(document)),
        assumptions=tuple(_assumptions(document)),
        synthetic=bool(part(document, "source").get("synthetic")) or any(SYNTHETIC in note for note in said),
        doubts=tuple(note for note in said if "undetermined" in note),
    )


def _liquidated(document: Document) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Asked only where somebody is on margin."""
    said = [*liquidation_sentences(records(document, "liquidations")), *takeover_sentences(records(document, "takeovers"))]
    if said:
        yield "Who is liquidated?", tuple(sentence.replace("+-", "±") for sentence in said)


def metrics_of(document: Document) -> Mapping[str, Any]:
    """The run's metrics, empty where there are none."""
    return part(document, "metrics")


def notes(document: Document) -> list[str]:
    """What is assumed, in sentences."""
    found = part(document, "assumptions").get("notes")
    return [str(note) for note in found] if isinstance(found, list) else []


def horizon(document: Document) -> str:
    """The length of the run in words."""
    hours = metrics_of(document).get("hours")
    return span(hours) if known(hours) else "unknown time"


def outcome_count(document: Document, kind: str) -> int:
    """How many paths ended that way."""
    count = part(document, "metrics", kind).get("count")
    return int(count) if known(count) else 0


def stopped(document: Document) -> int:
    """How many paths did not reach the horizon."""
    return sum(outcome_count(document, kind) for kind in STOPS)


def _title(document: Document) -> str:
    start = moment(part(document, "assumptions").get("start"))
    since = f" from {start.day} {start:%b %Y %H:%M} UTC" if start else ""
    currency = part(document, "source").get("currency")
    whose = f"{currency}: the" if isinstance(currency, str) and currency else "The"
    return f"{whose} next {horizon(document)}{since}, spot {price(metrics_of(document).get('spot_usd'))}"


def _headline(document: Document) -> str:
    """The answer to the first question, alone."""
    whose = moved_by(document)
    if not _finished(document) and stopped(document):
        return f"No path reached the horizon: {str(whose).lower()} {whose.verb('run')} away."
    found = part(document, "metrics", "amplification")
    ratio, error = value_of(found), error_of(found)
    if ratio is None:
        why = found.get("reason")
        return f"What {str(whose).lower()} {whose.verb('add')} to vol is unknown{f': {why}' if why else ''}."
    if not part(document, "assumptions").get("agents"):
        return "Nobody hedges in this run: there is no feedback to measure."
    vol = part(document, "metrics", "realised_vol")
    if metrics_of(document).get("amplification_conditional"):
        return (
            f"Of paths that reached the horizon realised vol is {_vol_of(vol, 'hedged')} a year, {number(found)} times theirs with nobody hedging; "
            f"nobody hedging shows {_everybody(document)} over all paths."
        )
    change: dict[str, Any] = {"value": ratio - 1.0, "standard_error": error}
    if not tells(change):
        nothing = {"value": abs(ratio - 1.0), "standard_error": error}
        return f"{whose} {whose.verb('add')} {percent(nothing if error else change)} to realised vol: not distinguishable from none."
    deed = (whose.verb("add"), "to") if ratio > 1.0 else (whose.verb("take"), "off")
    size = percent({"value": abs(ratio - 1.0), "standard_error": error})
    return f"{whose} {deed[0]} {size} {deed[1]} realised vol: {_vol_of(vol, 'hedged')} a year instead of {_vol_of(vol, 'fundamental')}."


def _everybody(document: Document) -> str:
    """Vol with nobody hedging, of all paths: those whose hedged twin was stopped are the wilder ones."""
    return _vol_of({"all": part(document, "metrics", "fundamental_vol_all_paths")}, "all")


def _vol_of(vol: Mapping[str, Any], series: str) -> str:
    value = value_of(part(vol, series))
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _finished(document: Document) -> int:
    return outcome_count(document, "finished")


def _regime(document: Document) -> tuple[str, str, str]:
    runaway = value_of(part(document, "metrics", "runaway")) or 0.0
    found = part(document, "metrics", "amplification")
    ratio, alone = value_of(found), moved_by(document).is_hedging_alone
    if runaway >= RUNS_AWAY or (not _finished(document) and stopped(document)):
        return "runaway", "Runs away", f"{share({'value': runaway})} of paths ran away before the end"
    if ratio is None:
        return "unknown", "Unknown", "vol with and without hedging could not be compared"
    if not tells(found, nothing=1.0):
        return "unknown", "No difference", f"{'hedging' if alone else 'trading'} moves vol by no more than the error of this run"
    if ratio > 1.0:
        return (
            "amplifying",
            "Amplifying",
            "hedgers chase moves and make them larger" if alone else "trades chase moves and make them larger",
        )
    return (
        "damping",
        "Damping",
        "hedgers lean against moves and make them smaller" if alone else "trades lean against moves and make them smaller",
    )


def _vol(document: Document) -> Iterator[str]:
    yield from _matched(document)
    yield _headline(document)
    if not moved_by(document).is_hedging_alone:
        yield NOBODY_HEDGING
    rows = [row for row in records(document, "metrics", "horizons") if value_of(part(row, "amplification")) is not None]
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        yield (
            f"Over {span(first['hours'])} vol is {number(first['amplification'])} times what it is with nobody hedging, "
            f"over {span(last['hours'])} {number(last['amplification'])} times."
        )
    slope = part(document, "metrics", "momentum_slope", "hedged")
    if tells(slope):
        deed = "runs on" if (value_of(slope) or 0.0) > 0.0 else "turns back"
        yield f"The day's last window {deed} by {number(slope)} of the move of the rest of the day."


def _matched(document: Document) -> Iterator[str]:
    """Vol over the returns whose observed vol was matched, the one to hold against it."""
    found = part(document, "calibration")
    hours, observed = found.get("hours"), found.get("observed_vol")
    if not (known(hours) and known(observed)):
        return
    for row in records(document, "metrics", "horizons"):
        if known(row.get("hours")) and abs(row["hours"] - hours) <= 1e-6 * hours:
            yield (
                f"Over {span(hours)}, the returns whose observed vol of {100 * observed:.2f} % was matched, vol is "
                f"{percent(part(row, 'vol', 'hedged'))} a year, {percent(part(row, 'vol', 'fundamental'))} with nobody hedging."
            )


def strongest_pin(document: Document) -> Mapping[str, Any]:
    """The watched strike whose share of paths differs most from the run without hedging, in errors; empty where none is watched."""
    pins = records(document, "metrics", "pins")
    return max(pins, key=lambda pin: abs(value_of(part(pin, "excess")) or 0.0) / (error_of(part(pin, "excess")) or 1.0), default={})


def _pins(document: Document) -> Iterator[str]:
    pins, pin = records(document, "metrics", "pins"), strongest_pin(document)
    if not pin:
        yield "No option expires inside the run, so no strike is watched."
        return
    excess = part(pin, "excess")
    at = f"within {pin['half_width_bps']:.2g} bps of {price(pin['strike_usd'])} after {span(pin['hours'])}"
    if not tells(excess, errors=PIN_ERRORS):
        yield (
            f"Nowhere that this run can tell: of {len(pins)} strikes watched at their expiry none differs from the run without hedging by "
            f"three errors. The largest difference is {percent(excess, signed=True, unit=' points')} {at}."
        )
        return
    draws = (value_of(excess) or 0.0) > 0.0
    yield (
        f"Price stands {at} {'more' if draws else 'less'} often than with nobody hedging: on {percent(part(pin, 'hedged'))} of paths "
        f"instead of {percent(part(pin, 'fundamental'))} (difference {percent(excess, signed=True, unit=' points')}; {len(pins)} strikes watched)."
    )
    if not draws:
        yield "Less often may mean that hedgers push price off the strike, or that it seldom gets that far: see the picture."


def _runaway(document: Document) -> Iterator[str]:
    paths = metrics_of(document).get("paths")
    if not known(paths):
        yield "Unknown."
        return
    if not stopped(document):
        high = value_of({"value": part(document, "metrics", "runaway").get("high")})
        bound = f" So the share of paths that run away is below {share({'value': high})}, with 95 % confidence." if high else ""
        yield f"On none of {paths:,} paths.{bound}"
    for kind, words in STOPS.items():
        found, count = part(document, "metrics", kind), outcome_count(document, kind)
        if count:
            interval = f"{share({'value': found.get('low')})} to {share({'value': found.get('high')})}"
            yield f"{count:,} of {paths:,} paths {words}: {share(found)} (95 % interval {interval})."
    yield from _edge(document)


def _edge(document: Document) -> Iterator[str]:
    """Where the start's loop gain would reach 1."""
    gain, depth = part(document, "assumptions").get("starting_gain"), depth_usd_per_pct(document)
    if not known(gain):
        return
    if gain > 0.0 and depth is not None:
        yield (
            f"The loop gain is {gain_text(gain)} at the start; it would reach 1, where hedging feeds itself without end, "
            f"if {money(gain * depth)} moved the price 1 % instead of {money(depth)}."
        )
    elif gain < 0.0:
        yield f"The loop gain is {gain_text(gain)} at the start, where hedging damps" + (
            "; the paths that stopped came to prices or times where it no longer does." if stopped(document) else "."
        )


def depth_usd_per_pct(document: Document) -> float | None:
    """USD that move the price by 1 % at once, by a small flow; None where nothing moves it."""
    impact = part(document, "assumptions").get("impact_per_usd")
    return 0.01 / float(impact) if known(impact) and impact > 0.0 else None


def _accounts(document: Document) -> Iterator[str]:
    agents = records(document, "metrics", "agents")
    if not agents:
        yield "Nobody hedges."
    for agent in agents[:MOST_AGENTS]:
        yield _account(agent)
    if len(agents) > MOST_AGENTS:
        yield f"{len(agents) - MOST_AGENTS} more in the table below."
    hours = [row for row in records(document, "metrics", "flow_by_hour") if value_of(part(row, "absolute_usd"))]
    if len(hours) > 1:
        busiest = max(hours, key=lambda row: value_of(row["absolute_usd"]) or 0.0)
        whose = "Hedging flow" if moved_by(document).is_hedging_alone else "Flow"
        yield f"{whose} is largest from {busiest['hour_utc']:02d}:00 UTC: {dollars(busiest['absolute_usd'])} an hour, net over agents."


def _account(agent: Mapping[str, Any]) -> str:
    earned, paid, turnover = part(agent, "pnl_usd"), part(agent, "cost_usd"), part(agent, "turnover_usd_per_day")
    name = str(agent.get("name") or "an unnamed agent")
    if not value_of(turnover):
        return f"{name}: never trades, earns {dollars(earned, signed=True)}."
    doubt = "" if tells(earned) or not error_of(earned) else ", not distinguishable from 0"
    costs = f"pays {dollars(paid)} in spread, fees, gas and funding" if value_of(paid) else "pays no spread or fee, because none is stated"
    return f"{name}: {dollars(earned, signed=True)} on average{doubt}, {dollars(part(agent, 'pnl_deviation_usd'))} standard deviation; trades {dollars(turnover)} a day and {costs}."


def _tail(document: Document) -> Iterator[str]:
    for side, name in (("exposure_long", "A long"), ("exposure_short", "A short")):
        row = tail_row(document, side)
        if row:
            at_risk, beyond = part(row, "value_at_risk"), part(row, "expected_shortfall")
            yield (
                f"{name} position on the worst {100 * (1 - row['level']):.3g} % of paths: {_loss(part(at_risk, 'hedged'))} or worse, "
                f"{_loss(part(beyond, 'hedged'))} on average there; with nobody hedging {_loss(part(at_risk, 'fundamental'))} and "
                f"{_loss(part(beyond, 'fundamental'))}."
            )
    if stopped(document):
        yield "A path that was stopped counts with the price at which it was stopped."


def _loss(estimate: Mapping[str, Any]) -> str:
    """A loss as the change of the position's value."""
    value = value_of(estimate)
    return "unknown" if value is None else percent({"value": -value, "standard_error": error_of(estimate)}, signed=True)


def tail_row(document: Document, side: str) -> Mapping[str, Any]:
    """The row of losses nearest to one path in a hundred, empty where none is known."""
    rows = [row for row in records(document, "metrics", side) if value_of(part(row, "value_at_risk", "hedged")) is not None]
    return min(rows, key=lambda row: abs(row["level"] - 0.99), default={})


def _vol_tile(document: Document) -> Tile:
    vol, ratio = part(document, "metrics", "realised_vol"), part(document, "metrics", "amplification")
    conditional, hedging_alone = bool(metrics_of(document).get("amplification_conditional")), moved_by(document).is_hedging_alone
    alone = f"{_everybody(document)} on all paths" if conditional else _vol_of(vol, "fundamental")
    tone = "plain" if not tells(ratio, nothing=1.0) else "amplifying" if (value_of(ratio) or 0.0) > 1.0 else "damping"
    return Tile(
        "Realised vol, paths that finished" if conditional else f"Realised vol, everybody {'hedges' if hedging_alone else 'trades'}",
        _vol_of(vol, "hedged") if value_of(part(vol, "hedged")) is not None else "n/a",
        f"{alone} with nobody {'hedging' if hedging_alone else 'trading'}; ratio {number(ratio)}",
        tone,
    )


def _runaway_tile(document: Document) -> Tile:
    found, paths = part(document, "metrics", "runaway"), metrics_of(document).get("paths")
    others = stopped(document) - outcome_count(document, "runaway")
    detail = (
        f"{outcome_count(document, 'runaway'):,} of {paths:,} paths; 95 % interval {share({'value': found.get('low')})} to {share({'value': found.get('high')})}"
        if known(paths)
        else "no path was simulated"
    )
    more = f"; {others:,} stopped otherwise" if others else ""
    return Tile("Paths that ran away", share(found), detail + more, "runaway" if outcome_count(document, "runaway") else "plain")


def _gain_tile(document: Document) -> Tile:
    gain, depth = part(document, "assumptions").get("starting_gain"), depth_usd_per_pct(document)
    tone = "plain" if not known(gain) or gain == 0 else "runaway" if gain >= 1.0 else "amplifying" if gain > 0 else "damping"
    deep = f"{money(depth)} move the price 1 %" if depth is not None else "no trade moves the price"
    return Tile("Loop gain at the start", gain_text(gain), f"{deep}; at 1 and above it runs away", tone)


def _tail_tile(document: Document) -> Tile:
    row = tail_row(document, "exposure_long")
    if not row:
        return Tile("Worst days of a long", "n/a", "too few paths to say")
    losses = [value_of(part(row, "value_at_risk", series)) for series in ("hedged", "fundamental")]
    hedged, alone = (UNKNOWN if loss is None else signed_percent(-loss, signed=True) for loss in losses)
    return Tile(
        f"Long, worst {100 * (1 - row['level']):.3g} % of paths", hedged, f"or worse over {horizon(document)}; {alone} with nobody hedging"
    )


def _assumptions(document: Document) -> Iterator[tuple[str, str]]:
    taken = part(document, "assumptions")
    source = part(document, "source")
    if source.get("rule"):
        yield "who is short", str(source["rule"])
    for note in notes(document):
        if "hold the book of" in note and not source.get("rule"):
            yield "who is short", note.partition("hold the book of")[2].strip().partition(", an assumption")[0]
    depth = depth_usd_per_pct(document)
    lasting = taken.get("lasting_impact_per_usd")
    stays = ""
    if depth is not None and known(lasting):
        stays = ", all of it stays" if abs(lasting * depth / 0.01 - 1.0) < 1e-9 else f", {100 * lasting * depth / 0.01:.3g} % of it stays"
    law = LAW_WORDS.get(str(source.get("depth_law")), "").partition(",")[0]
    yield "depth", f"{money(depth)} per 1 %{f' ({law})' if law else ''}{stays}" if depth is not None else "no trade moves the price"
    auctions = taken.get("auction_every_minutes")
    yield "clearing", str(taken.get("clearing") or "unknown") + (f", in auctions every {auctions:g} minutes" if known(auctions) else "")
    if known(taken.get("price_vol")):
        origin = "calibrated to the observed vol" if taken.get("vol_is") == "observed" else "taken as fundamental"
        yield "price", f"{taken.get('price_model')}, vol {100 * taken['price_vol']:.1f} % ({origin})"
    for agent in records(taken, "agents")[:MOST_AGENTS]:
        late = f", {agent['delay_steps']} steps late" if agent.get("delay_steps") else ""
        held = (
            ""
            if agent.get("kind") in ("liquidation-ladder", "leveraged-traders")
            else f"{100 * agent.get('hedge_share', 1):.3g} % hedged, "
        )
        yield (
            str(agent.get("name")),
            f"{held}{agent.get('policy')}, {agent.get('execution')}{late}",
        )
    yield (
        "run",
        f"{metrics_of(document).get('paths', 0):,} paths of {taken.get('steps', 0):,} steps, seed {document.get('seed')}, {document.get('engine')} engine",
    )
