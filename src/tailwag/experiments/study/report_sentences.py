"""A study in plain sentences: what was asked, what came, and how large an effect these data could have shown; nulls are said as nulls."""

from __future__ import annotations

from tailwag.experiments.study.report_view import (
    LEVEL,
    OUT_OF_SAMPLE,
    PRIMARY,
    SECONDARY,
    Document,
    Judged,
    between,
    first_of,
    forecast_rejected,
    judged,
    number,
    p_value,
    rank,
    sized_by,
    unanswered,
)
from tailwag.figures.numbers import MINUS, money

ASKED = {
    "reversal": "After a 15-minute return, does the next one continue it where hedgers are short gamma, and reverse it where they are long?",
    "realised-vol": "Is the next day more volatile the more hedging amplifies, beyond what implied and past vol say already?",
    "realised-vol-1h": "Is the next hour more volatile the more hedging amplifies, beyond what implied and past vol say already?",
    "shocks": "Do large hourly moves continue over the next hour where hedgers are short gamma?",
    "expiry": "Does vol change at 08:00 UTC by as much as the options that expire amplified or damped it?",
    "pinning": "Does price settle nearer to the strike with the most open interest than to its mirror image on the other side of spot?",
    OUT_OF_SAMPLE: "Do forecasts of the next day's vol get better with the gain, on days that were not used to fit them?",
}
CLAIMED = {
    "reversal": "15-minute returns are continued where hedgers are short gamma and reversed where they are long",
    "realised-vol": "the next day is more volatile the more hedging amplifies, beyond implied and past vol",
    "realised-vol-1h": "the next hour is more volatile the more hedging amplifies, beyond implied and past vol",
    "shocks": "large hourly moves continue where hedgers are short gamma",
    "expiry": "vol changes at 08:00 UTC by what the expiring options amplified or damped",
    "pinning": "price settles nearer to the strike with the most open interest",
}
"""Each hypothesis as a claim that the data may bear out or not."""


def asked(entry: Document) -> str:
    """What a hypothesis asks, in words that need no plan."""
    return ASKED.get(entry["name"], f"{entry['hypothesis'][:1].upper()}{entry['hypothesis'][1:]}?")


def headline(document: Document) -> str:
    """The first hypothesis of the study in one sentence."""
    entry = document["hypotheses"][0]
    claim = CLAIMED.get(entry["name"], entry["hypothesis"])
    if not entry["estimates"]:
        return f"No answer: whether {claim} could not be estimated"
    verdict = judged(document, entry)
    if not verdict.rejected:
        return f"Not shown: that {claim}"
    how = "" if verdict.corrected else " at 5 %, taken alone"
    return (
        f"The opposite of what was predicted is shown{how}: {claim}, with its sign turned round"
        if verdict.against
        else f"Shown{how}: {claim}"
    )


def came(document: Document, entry: Document) -> str:
    """What the data said: decision, estimate, both intervals, p-value, and the predicted size."""
    return f"{decided(document, entry)} {figures(document, entry)}".strip()


def decided(document: Document, entry: Document) -> str:
    """The decision in a sentence, by the plan's own rule."""
    return _decision(entry, judged(document, entry)) if entry["estimates"] else f"No estimate: {entry['refused']}"


def figures(document: Document, entry: Document) -> str:
    """Estimate, both intervals, p-value, and what they say of the predicted size; empty without an estimate."""
    one = first_of(entry)
    if one is None:
        return ""
    verdict = judged(document, entry)
    return (
        f"{one['name']}: {number(one['value'])}, 95 % interval {between(one['low'], one['high'])}{_bootstrap(one)}, "
        f"p {p_value(one['p_value'])}{_how(entry)}, from {one['rows']:,} rows in {one['blocks']} blocks of days.{_size(entry, verdict)}"
    )


def _decision(entry: Document, verdict: Judged) -> str:
    if verdict.rejected:
        shown = "The opposite of what was predicted is shown" if verdict.against else "Shown"
        return f"{shown}: 0 is rejected{'' if verdict.corrected else ' at 5 %, on its own'}."
    if _undecided(entry, verdict):
        return "Not shown: neither 0 nor the predicted size can be ruled out."
    if entry["name"] == PRIMARY:
        return "Not shown: the plan asks that both intervals leave 0 out, and they do not."
    if verdict.alone:
        return f"Not shown: rejected on its own, but not with {SECONDARY} hypotheses taken together (Holm)."
    return "Not shown: 0 cannot be rejected."


def _undecided(entry: Document, verdict: Judged) -> bool:
    """Whether the data can exclude neither 0 nor the predicted size."""
    return bool(verdict.size_inside) and not verdict.alone and "without_implied_vol" not in entry


def _bootstrap(one: Document) -> str:
    return "" if one["block_low"] is None else f" (bootstrap {between(one['block_low'], one['block_high'])})"


def _how(entry: Document) -> str:
    return " by sign flips, which decide" if entry["name"] == "pinning" else ""


def _size(entry: Document, verdict: Judged) -> str:
    """What was predicted and whether the interval holds it; of vol also the estimate without implied vol among the controls."""
    said, other = predicted_words(entry), first_of(entry.get("without_implied_vol"))
    where = {True: ", inside", False: ", outside", None: ""}[verdict.size_inside]
    if other is None:
        return f" Predicted: {said}{where and f'; that lies{where[1:]} the interval'}."
    without = f" With implied vol left out of the controls: {number(other['value'])}, 95 % interval {between(other['low'], other['high'])}."
    return f"{without} Predicted there: {said}{where and f'; that lies{where[1:]} this interval'}."


def predicted_words(entry: Document) -> str:
    """What the plan predicts, in a few words.

    >>> predicted_words({"predicted": -1}), predicted_words({"predicted": 0}), predicted_words({"predicted": 1, "predicted_says": "1 if late"})
    ('−1', 'above 0', '1 if late')
    """
    said = entry.get("predicted_says") or (f"{entry['predicted']:g}" if entry["predicted"] else "above 0")
    return f"{MINUS}{said[1:]}" if said.startswith("-") else str(said)


def seen(entry: Document) -> str:
    """How large an effect would have been seen; empty without an estimate."""
    one = first_of(entry)
    if one is None:
        return ""
    told = f"An effect of {number(one['seen_at'])}, of either sign, would have been seen in four of five such samples"
    sized = first_of(sized_by(entry))
    if entry["predicted"] and sized is not None and sized["seen_at"] > abs(entry["predicted"]):
        return f"{told}: more than the {abs(entry['predicted']):g} that was predicted, so a null says little here."
    return f"{told}; what lies inside the interval is not ruled out."


def forecast_sentences(document: Document) -> list[str]:
    """The out-of-sample question: what came, and the losses of each forecast; nothing where it was not asked."""
    if not document.get("out_of_sample"):
        return []
    first, *more = forecast_figures(document) or [""]
    return [f"{forecast_decided(document)} {first}".strip(), *more]


def forecast_figures(document: Document) -> list[str]:
    """R2, the test, and the losses of each forecast."""
    told = document["out_of_sample"]
    if told["refused"]:
        return []
    test, loss = told["clark_west"], told["qlike"]
    best = min(loss, key=lambda name: loss[name])
    return [
        f"Out-of-sample R2 {number(told['r2'])} over {told['rows']:,} forecasts: {'less' if told['r2'] > 0.0 else 'more'} squared error with the gain than without. Clark and "
        f"West's test p {p_value(test['p_value'])}, one-sided, on their adjusted difference (squared error less what one more fitted coefficient costs): "
        f"{number(test['value'])}, 95 % interval {between(test['low'], test['high'])}.",
        f"A difference of {number(test['seen_at'])} would have been seen in four of five such samples. QLIKE loss: {number(loss['with'])} with the gain, "
        f"{number(loss['without'])} without, {number(loss['held at 1'])} for sigma/(1-G) as the model has it; the least is that of {_FORECASTS.get(best, best)}, {number(loss[best])}.",
    ]


def forecast_decided(document: Document) -> str:
    """The decision on the out-of-sample question."""
    ruled = forecast_rejected(document)
    if ruled is None:
        return f"No forecast: {document['out_of_sample']['refused']}"
    if ruled:
        return "Shown: 0 is rejected." if document.get("rejected") else "Shown: 0 is rejected at 5 %, on its own."
    alone = document["out_of_sample"]["clark_west"]["p_value"] < LEVEL
    return (
        f"Not shown: rejected on its own, but not with {SECONDARY} hypotheses taken together (Holm)."
        if alone
        else "Not shown: 0 cannot be rejected."
    )


_FORECASTS = {
    "with": "the fit with the gain",
    "without": "the fit without it",
    "held at 1": "sigma/(1-G)",
    "implied vol": "implied vol as it is",
}


def secondary_sentence(document: Document) -> str:
    """How many of the secondary hypotheses Holm's procedure rejects; empty where the document does not hold them all."""
    told = document.get("rejected")
    if not told:
        return ""
    found = [name for name, ruled in told["secondary"].items() if ruled]
    count = len(told["secondary"])
    if not found:
        short = [name for name in unanswered(document) if name != PRIMARY]
        missing = f"; {len(short)} could not be estimated" if short else ""
        return f"Of {count} secondary hypotheses, taken together by Holm at 5 %, none is shown{missing}."
    return f"Of {count} secondary hypotheses, taken together by Holm at 5 %, {len(found)} {'is' if len(found) == 1 else 'are'} shown: {', '.join(found)}."


def placebo_sentence(entry: Document) -> str:
    """The true figure's place among its placebos; empty without any."""
    told = ["{} {} of {:,}".format(_PLACEBOS.get(one["name"], one["name"]), *_ranked(one)) for one in entry["placebos"]]
    return f"Place of {entry['name']} by its distance from 0 among placebos, 1 the farthest: {', '.join(told)}." if told else ""


def unanswered_sentence(document: Document) -> str:
    """Which questions these data cannot answer; empty where they answer all."""
    names = unanswered(document)
    return f"Without an answer, for want of data: {', '.join(names)}." if names else ""


_PLACEBOS = {"signs": "drawn signs", "dates": "shifted dates", "hours": "other hours"}


def _ranked(one: Document) -> tuple[str, int]:
    place, among = rank(one)
    return f"{place:,}", among


def placebo_warning(document: Document) -> str:
    """Where the first hypothesis is shown and yet is not unusual among its own placebos, that; else empty."""
    entry = document["hypotheses"][0]
    if not entry["estimates"] or not judged(document, entry).rejected:
        return ""
    usual = [one for one in entry["placebos"] if one["name"] != "hours" and rank(one)[0] > max(1.0, LEVEL * rank(one)[1])]
    if not usual:
        return ""
    told = " and ".join("{} ({} of {:,})".format(_PLACEBOS.get(one["name"], one["name"]), *_ranked(one)) for one in usual)
    return f"But it is not unusual among {told}: something that wanders over days could look the same."


def flow_depth_sentence(document: Document) -> str:
    """What signed flow says of the depth, beside the one assumed; empty where the document does not say."""
    told = (document.get("identification") or {}).get("depth_from_flow")
    if not told:
        return ""
    if told["refused"]:
        return f"Depth from signed flow: {told['refused']}"
    cleaned, assumed = told["cleaned_usd_per_pct"], document["assumptions"]["depth_usd_per_pct"]
    if told["naive_usd_per_pct"] is None:
        return f"The price did not move with the signed flow of these {told['windows']:,} candles: flow says no depth."
    said = (
        f"Returns against the signed flow of these candles say that {money(told['naive_usd_per_pct'])} moves the price 1 % as it stands, and "
        f"{money(cleaned)} with hedgers' own trades taken out; {money(assumed)} is assumed ({told['windows']:,} candles)."
    )
    one = first_of(document["hypotheses"][0])
    if cleaned and one is not None and document["hypotheses"][0]["name"] == PRIMARY:
        said += f" At the cleaned depth the primary's {number(one['value'])} would read {number(one['value'] * cleaned / assumed)}, and be as significant."
    return said


def assumed_sentences(document: Document) -> list[str]:
    """Assumptions, data and the name of the plan."""
    told, history, candles = document["assumptions"], document["history"], document["candles"]
    return [
        f"Assumed: {told['rule']}, {told['dynamics']}, {money(told['depth_usd_per_pct'])} moves the price 1 %. "
        f"{history['rows']:,} snapshots of {document['currency']}, {candles['candles']:,} candles of {candles['name']}.",
        f"Plan, version {document['plan']['version']}: SHA-256 {document['plan']['sha256']}.",
    ]
