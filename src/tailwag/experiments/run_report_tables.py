"""The numbers of a run as accessible tables: every estimate with its standard error, every unknown with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.report_view import Document, part, records
from tailwag.experiments.run_report_view import metrics_of
from tailwag.experiments.run_report_words import dollars, number, percent, share, value_of
from tailwag.figures.labels import moment
from tailwag.figures.numbers import compact, gain_text, known, money, price
from tailwag.sim.metrics_sentences import part_words, parts_shown, span

ERRORS = "± one standard error over paths"
ROUNDING_USD = 1e-4


def horizon_table(document: Document) -> str:
    """Vol, its ratio, variance ratios and tails of returns by horizon."""
    rows = [
        [
            span(row["hours"]),
            percent(row["vol"]["hedged"]),
            percent(row["vol"]["fundamental"]),
            number(row["amplification"]),
            number(row["variance_ratio"]["hedged"]),
            number(row["kurtosis"]["hedged"]),
            number(row["kurtosis"]["fundamental"]),
        ]
        for row in records(document, "metrics", "horizons")
    ]
    head = ["returns over", "vol a year", "nobody hedges", "ratio", "variance ratio to one step", "kurtosis (3 = normal)", "nobody hedges"]
    whose = ", paths that reached the horizon" if metrics_of(document).get("amplification_conditional") else ""
    return table(f"By horizon{whose}, {ERRORS}", head, rows)


def moves_table(document: Document) -> str:
    """What else is known of how price moves: vol of vol, autocorrelations, momentum, drawdown."""
    found = metrics_of(document)
    named: list[tuple[str, Any, Any]] = [
        ("realised vol a year", part(found, "realised_vol"), percent),
        ("spread of realised vol over paths", part(found, "vol_of_vol"), percent),
        ("spread of daily vol", part(found, "daily_vol_of_vol"), percent),
        *(
            (f"correlation of returns {row['steps']} step{'s' if row['steps'] > 1 else ''} apart", part(row, "autocorrelation"), number)
            for row in records(found, "autocorrelations")
        ),
        ("slope of the day's last window on the rest", part(found, "momentum_slope"), number),
        ("largest fall on the way, mean", part(found, "drawdown", "mean"), percent),
    ]
    rows = [[name, words(part(pair, "hedged")), words(part(pair, "fundamental"))] for name, pair, words in named]
    return table(f"How price moves, {ERRORS}", ["", "everybody hedges", "nobody hedges"], rows)


def pin_table(document: Document) -> str:
    """Each watched strike: how often price stands at it at its expiry, hedged and not, and the paired difference."""
    rows = [
        [
            price(row["strike_usd"]),
            f"{row['half_width_bps']:.2g} bps",
            span(row["hours"]),
            percent(row["hedged"]),
            percent(row["fundamental"]),
            percent(row["excess"], signed=True, unit=" points"),
        ]
        for row in records(document, "metrics", "pins")
    ]
    head = ["strike", "within", "after", "everybody hedges", "nobody hedges", "difference"]
    return table(f"Price at watched strikes when they expire, shares of all paths, {ERRORS}", head, rows)


def flow_table(document: Document) -> str:
    """Hedging flow in every hour of the day."""
    rows = [
        [f"{row['hour_utc']:02d}:00", dollars(row["absolute_usd"]), dollars(row["signed_usd"], signed=True)]
        for row in records(document, "metrics", "flow_by_hour")
    ]
    return table(f"Hedging flow an hour, net over agents, {ERRORS}", ["hour, UTC", "size", "net, + bought"], rows)


def account_table(document: Document) -> str:
    """Each agent's account: what it earns, pays, trades and leaves unhedged."""
    agents = records(document, "metrics", "agents")
    lines = (
        ("profit and loss, mean", "pnl_usd", True),
        ("spread of it over paths", "pnl_deviation_usd", False),
        ("paid in spread, fees, gas, funding", "cost_usd", False),
        ("traded a day", "turnover_usd_per_day", False),
        ("left unhedged, root mean square", "mishedge_rms_usd", False),
        ("largest position", "peak_position_usd", False),
    )
    rows = [[words, *(dollars(part(agent, key), signed=signed) for agent in agents)] for words, key, signed in lines]
    rows.insert(4, ["trades a day", *(number(part(agent, "trades_per_day")) for agent in agents)])
    rows += [[words, *cells] for words, cells in _loss_rows(agents)]
    return table(f"Accounts, {ERRORS}", ["", *(str(agent.get("name")) for agent in agents)], rows if agents else [])


def _loss_rows(agents: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    levels = [row["level"] for row in records(agents[0], "tails")] if agents else []
    for place, level in enumerate(levels):
        tails = [records(agent, "tails")[place] for agent in agents]
        yield f"loss that {100 * level:g} % of paths stay below", [dollars(part(row, "value_at_risk_usd")) for row in tails]
        yield "mean loss beyond it", [dollars(part(row, "expected_shortfall_usd")) for row in tails]


def parts_table(document: Document) -> str:
    """Profit and loss in parts that sum to the total, the residual included."""
    agents, split = records(document, "pnl"), str(document.get("pnl_split"))
    rows = [
        [part_words(name, split), *(_part(part(agent, "parts_usd", name)) for agent in agents)]
        for name in parts_shown(agents, split, least_usd=ROUNDING_USD)
    ]
    rows.append(["total", *(_part(part(agent, "total_usd")) for agent in agents)])
    return table(
        f"Profit and loss by part, mean, {ERRORS}", ["part", *(str(agent.get("agent")) for agent in agents)], rows if agents else []
    )


def _part(estimate: Mapping[str, Any]) -> str:
    """Below a hundredth of a cent a part is the rounding of sums, and 0."""
    value = value_of(estimate)
    return "$0" if value is not None and abs(value) < ROUNDING_USD else dollars(estimate, signed=True)


def outcome_table(document: Document) -> str:
    """How paths ended, none left out, each with what it means."""
    rows = [
        [
            str(row.get("outcome")).replace("_", " "),
            compact(row.get("paths")) if not isinstance(row.get("paths"), int) else f"{row['paths']:,}",
            share(part(row, "share")),
            f"{share({'value': part(row, 'share').get('low')})} to {share({'value': part(row, 'share').get('high')})}",
        ]
        for row in records(document, "outcomes")
    ]
    met = [row for row in records(document, "outcomes") if row.get("paths") and row.get("outcome") != "finished"]
    said = "".join(f"<li>{safe(row.get('sentence') or '', most=600)}</li>" for row in met)
    return table("How paths ended", ["outcome", "paths", "share", "95 % interval"], rows) + (
        f'<ul class="notes">{said}</ul>' if said else ""
    )


def tail_table(document: Document) -> str:
    """Value at risk and expected shortfall of one dollar long and one dollar short, with and without hedging."""
    rows = [
        [
            f"{side}, {100 * row['level']:g} %",
            *(
                percent(part(row, measure, series))
                for measure in ("value_at_risk", "expected_shortfall")
                for series in ("hedged", "fundamental")
            ),
        ]
        for side, key in (("long", "exposure_long"), ("short", "exposure_short"))
        for row in records(document, "metrics", key)
    ]
    head = ["position, level", "value at risk", "nobody hedges", "expected shortfall", "nobody hedges"]
    return table(f"Losses of a position held to the end, % of its value, {ERRORS}", head, rows) + _reasons(document)


def _reasons(document: Document) -> str:
    """Why tails are unknown, each reason once."""
    rows = [*records(document, "metrics", "exposure_long"), *records(document, "metrics", "exposure_short")]
    found = dict.fromkeys(
        str(part(row, "value_at_risk", series).get("reason"))
        for row in rows
        for series in ("hedged", "fundamental")
        if part(row, "value_at_risk", series).get("reason")
    )
    return "".join(f'<p class="none">n/a: {safe(reason)}.</p>' for reason in found)


def drawdown_table(document: Document) -> str:
    """The largest fall on the way, by quantile."""
    found = part(document, "metrics", "drawdown")
    pairs = zip(records(found, "quantiles"), records(found, "fundamental_quantiles"), strict=False)
    rows = [
        [f"{100 * one['level']:g} % of paths fall less than", percent(part(one, "quantile")), percent(part(other, "quantile"))]
        for one, other in pairs
    ]
    return table(f"Largest fall from a high, {ERRORS}", ["", "everybody hedges", "nobody hedges"], rows)


def event_table(document: Document) -> str:
    """What happens to the books inside the run."""
    rows = [
        [
            str(row.get("event")).replace("-", " "),
            span(row["hours"]) if known(row.get("hours")) else "n/a",
            _moment(row.get("at")),
            str(row.get("agent")),
            f"{row.get('options', 0):,}",
            compact(row.get("contracts_coin")),
        ]
        for row in records(document, "events")
    ]
    return table("Inside the run", ["what", "after", "at", "whose", "options", "contracts, coin"], rows) + (_EVENT_WORDS if rows else "")


_EVENT_WORDS = (
    '<p class="none">While the settlement average runs, expiring options lose their delta little by little; at the expiry they settle, and what '
    "is left of their hedge is unwound.</p>"
)


def _moment(text: Any) -> str:
    found = moment(text)
    return f"{found.day} {found:%b %H:%M} UTC" if found else "n/a"


def assumption_table(document: Document) -> str:
    """Every assumption with its number."""
    taken = part(document, "assumptions")
    rows = [[words, _plain(key, taken.get(key))] for key, words in ASSUMED.items()]
    return table("Assumed", ["", "value"], rows)


ASSUMED = {
    "start": "start",
    "spot_usd": "first price",
    "hours": "hours",
    "steps": "steps",
    "step_minutes": "minutes a step",
    "clearing": "clearing",
    "price_model": "price model",
    "price_vol": "fundamental vol a year",
    "vol_is": "vol of the scenario is",
    "impact_per_usd": "log price per USD, at once",
    "lasting_impact_per_usd": "log price per USD, lasting",
    "starting_gain": "loop gain at the start",
    "starting_gain_with_vanna": "with vanna, as vol follows spot",
}


SOURCE = {
    "kind": "of a",
    "name": "its name",
    "currency": "currency",
    "rule": "who is short",
    "depth_law": "depth by",
    "headline_law": "the measurement's headline takes",
}


def _plain(key: str, value: Any) -> str:
    if key == "spot_usd":
        return price(value)
    if key == "price_vol":
        return percent({"value": value})
    return "n/a" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if known(value) else str(value)


def agent_table(document: Document) -> str:
    """Every agent's rule and book, and what it adds to the loop gain at the start."""
    gains = {str(row.get("name")): row.get("gain") for row in records(document, "gain_by_agent")}
    rows = [
        [
            str(agent.get("name")),
            f"{100 * agent.get('hedge_share', 1.0):.3g} %",
            str(agent.get("policy")),
            str(agent.get("execution")),
            str(agent.get("delay_steps")),
            f"{agent.get('options', 0):,}",
            money(agent.get("starting_dollar_gamma_usd"), signed=True),
            gain_text(gains.get(str(agent.get("name")))),
        ]
        for agent in records(document, "assumptions", "agents")
    ]
    return table(
        "Agents",
        ["name", "hedges", "policy", "execution", "delay, steps", "options", "dollar gamma at the start", "its part of the gain"],
        rows,
    )


def origin_table(document: Document) -> str:
    """What was computed, with what, so that it can be repeated to the bit."""
    scenario = part(document, "scenario")
    rows = [["scenario, sha256", str(scenario.get("sha256") or "n/a")]]
    rows += [[f"{name}, sha256", str(digest)] for name, digest in part(scenario, "files").items()]
    source = part(document, "source")
    rows += [[words, str(source[key])] for key, words in SOURCE.items() if source.get(key) is not None]
    rows += [[f"said in place of the scenario: {name}", str(value)] for name, value in part(scenario, "overrides").items()]
    rows += [[name, str(document.get(name, "n/a"))] for name in ("seed", "paths", "engine", "pnl_split", "schema")]
    rows += [[name, str(version)] for name, version in part(document, "versions").items()]
    return table("Origin", ["", "value"], rows)
