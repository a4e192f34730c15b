"""Routes that cost a measurement or a read of the store: the past, the history of a number, what if, and the desk's own book."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from tailwag.errors import InputError
from tailwag.market.clock import LATEST_NS, format_time
from tailwag.risk.gain_index import DEFINITION
from tailwag.service.answers import AnySource, answers
from tailwag.service.auth import Role, needs
from tailwag.service.field_history import LARGEST_PAGE, PAGE, Page, Thinning, field_history, thinned_history
from tailwag.service.index_days import IndexOf
from tailwag.service.packing import packed
from tailwag.service.routes import At, chosen, envelope, heavily, json_answer, newest, past_envelope, refuse_unknown, service_of, time_ns
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement
    from tailwag.service.api import Service

MOST_RULES, LONGEST_RULE, MOST_PARTS = 4, 200, 6
MOST_BOOK_LINES = 2_000
MOST_EVERY_S = 31.0 * 86_400.0
EVERY_S = "Thin: of each so many seconds (UTC) the first, lowest, highest and last point, and the first without a value."
MOST = "Thin likewise, into buckets so wide that at most this many points are left."
BOOK_BODY = {
    "required": True,
    "content": {"text/csv": {"schema": {"type": "string", "description": "CSV with the columns instrument, contracts (long +)."}}},
}


class WhatIf(BaseModel):
    """Assumptions to measure under in place of the service's own; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    rule: list[Annotated[str, Field(max_length=LONGEST_RULE)]] = Field(default_factory=list, max_length=MOST_RULES)
    depth_usd_per_pct: float | None = Field(default=None, ge=1.0, le=1e15, allow_inf_nan=False)
    move_pct: float | None = Field(default=None, ge=0.01, le=20.0, allow_inf_nan=False)
    hedge_share: float | None = Field(default=None, ge=0.0, le=1.0, allow_inf_nan=False)
    dynamics: str | None = Field(default=None, max_length=40)
    at: str | None = Field(default=None, max_length=40)
    source: str | None = Field(default=None, max_length=200)


WHAT_IF_BODY = {"required": True, "content": {"application/json": {"schema": WhatIf.model_json_schema()}}}


def add_past_routes(app: FastAPI) -> None:
    """Add them to the application."""
    what_if = answers("A measurement under other assumptions, of the newest or a past snapshot.", 404, shape="WhatIfMeasurement")
    app.add_api_route(
        "/api/v1/measure",
        measured_at,
        methods=["GET"],
        response_class=Response,
        **answers("The measurement of the last snapshot at or before a time (schema tailwag.measure/1).", 404, shape="Measurement"),
    )
    app.add_api_route(
        "/api/v1/history",
        history,
        methods=["GET"],
        response_class=Response,
        **answers("One number of the document over time.", 404, shape="History"),
    )
    app.add_api_route(
        "/api/v1/index",
        daily_index,
        methods=["GET"],
        response_class=Response,
        **answers("The daily index (tailwag.index/1): loop gain and hedged open interest of each day.", 404, shape="DailyIndex"),
    )
    app.add_api_route("/api/v1/whatif", what_if_asked, methods=["GET"], response_class=Response, **what_if)
    app.add_api_route(
        "/api/v1/whatif", what_if_posted, methods=["POST"], response_class=Response, openapi_extra={"requestBody": WHAT_IF_BODY}, **what_if
    )
    app.add_api_route(
        "/api/v1/book",
        own_book,
        methods=["POST"],
        response_class=Response,
        openapi_extra={"requestBody": BOOK_BODY},
        **answers("Greeks, flows and limits of a desk's own book in this market.", 404, shape="BookMeasurement"),
    )


@needs(Role.VIEWER)
async def measured_at(request: Request, at: At = None, source: AnySource = None) -> Response:
    """The measurement of the last snapshot at or before ``at``; the newest one where no time is given."""
    refuse_unknown(request, "at", "source")
    service, at_ns = service_of(request), time_ns(at)
    publication, health = newest(service, source)
    if at_ns is None or at_ns >= publication.as_of_ns:
        return packed(request, json_answer({**publication.document, **envelope(publication, health)}))

    def work() -> dict[str, Any]:
        past = service.archive.at(at_ns, source=publication.source, newest_seq=publication.seq)
        return {**past.document, **past_envelope(past.seq, publication)}

    return packed(request, json_answer(await heavily(request, work)))


@needs(Role.VIEWER)
async def history(
    request: Request,
    field: Annotated[
        str, Query(max_length=200, min_length=1, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:\-]*$", description="Dotted path, such as gain.value.")
    ],
    start: Annotated[str | None, Query(alias="from", max_length=40, description="First time, ISO 8601 with an offset.")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Last time.")] = None,
    source: AnySource = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
    every_s: Annotated[float | None, Query(ge=1.0, le=MOST_EVERY_S, allow_inf_nan=False, description=EVERY_S)] = None,
    most: Annotated[int | None, Query(ge=10, le=LARGEST_PAGE, description=MOST)] = None,
) -> Response:
    """Values of one field at each measured snapshot in [from, to], a page at a time; ``next`` is where the next page starts."""
    refuse_unknown(request, "field", "from", "to", "source", "limit", "every_s", "most")
    service, span, thinning = service_of(request), _span(start, end), Thinning(every_s, most)
    name = chosen(service, source)
    publication = service.board.sources()[name][0]

    def work() -> Page:
        if thinning == Thinning():
            return field_history(service, field, source=name, newest=publication, span_ns=span, limit=limit)
        return thinned_history(service, field, source=name, newest=publication, span_ns=span, thinning=thinning)

    page = await heavily(request, work)
    points = [{"as_of": format_time(point.as_of_ns), "value": point.value, "seq": point.seq} for point in page.points]
    answer: dict[str, Any] = {"field": field, "source": name, "points": points, "next": _time_or_none(page.next_ns)}
    if page.measured is not None:
        answer["thinned"] = {"every_s": None if page.bucket_ns is None else page.bucket_ns / NS_PER_SECOND, "measured": page.measured}
    return packed(request, json_answer(answer))


def _span(start: str | None, end: str | None) -> tuple[int, int]:
    """First and last time of what is asked for.

    Raises InputError.
    """
    span = time_ns(start) or 0, time_ns(end) or LATEST_NS
    if span[0] > span[1]:
        raise InputError("from lies after to; give the earlier time first")
    return span


def _time_or_none(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_time(at_ns)


@needs(Role.VIEWER)
async def daily_index(
    request: Request,
    currency: Annotated[str | None, Query(max_length=10, pattern=r"^[A-Z]{2,10}$", description="Such as BTC.")] = None,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="A time of the first day.")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="A time of the last day.")] = None,
    source: AnySource = None,
) -> Response:
    """Days of the index that are over and hold a snapshot of a window, oldest first; a few new days are worked out for each answer."""
    refuse_unknown(request, "currency", "from", "to", "source")
    service, span = service_of(request), _span(start, end)
    names, known = service.monitor.names, service.board.sources()
    name = chosen(service, source) if source is not None or currency is None else _source_of(known, currency)
    publication, _ = newest(service, name)
    if currency not in (None, publication.currency):
        raise InputError(f"{name} measures {publication.currency}, not {currency}; leave one of the two out")
    of = IndexOf(publication.currency, None if len(names) == 1 else name)
    newest_seq = max((one.seq for one, _ in known.values() if one is not None), default=0)
    days, next_ns = await heavily(request, lambda: service.archive.daily_index(of, *span, newest_seq=newest_seq))
    answer = {"definition": DEFINITION.document(), "currency": of.currency, "source": name, "days": days, "next": _time_or_none(next_ns)}
    return packed(request, json_answer(answer))


def _source_of(known: dict[str, Any], currency: str) -> str:
    """The first source that measures a currency.

    Raises HTTPException 404 where none does.
    """
    found = next((name for name, (newest, _) in known.items() if newest is not None and newest.currency == currency), None)
    if found is None:
        raise HTTPException(404, f"no source of this service measures {currency} yet; see /api/v1/sources")
    return found


@needs(Role.VIEWER)
async def what_if_asked(
    request: Request,
    rule: Annotated[list[Annotated[str, Field(max_length=LONGEST_RULE)]] | None, Query(max_length=MOST_RULES)] = None,
    depth_usd_per_pct: Annotated[float | None, Query(ge=1.0, le=1e15, allow_inf_nan=False)] = None,
    move_pct: Annotated[float | None, Query(ge=0.01, le=20.0, allow_inf_nan=False)] = None,
    hedge_share: Annotated[float | None, Query(ge=0.0, le=1.0, allow_inf_nan=False)] = None,
    dynamics: Annotated[str | None, Query(max_length=40)] = None,
    at: At = None,
    source: AnySource = None,
) -> Response:
    """Measure again: who is short, how deep the market is, how far spot moves, and what share is hedged, as you say."""
    refuse_unknown(request, *WhatIf.model_fields, repeated=("rule",))
    asked = WhatIf(
        rule=rule or [],
        depth_usd_per_pct=depth_usd_per_pct,
        move_pct=move_pct,
        hedge_share=hedge_share,
        dynamics=dynamics,
        at=at,
        source=source,
    )
    return await _what_if(request, asked)


@needs(Role.VIEWER)
async def what_if_posted(request: Request) -> Response:
    """The same, asked with a JSON object."""
    refuse_unknown(request)
    body = _object(await request.body())
    try:
        asked = WhatIf.model_validate(body, strict=True)
    except ValidationError as trouble:
        first = trouble.errors()[0]
        place = ".".join(str(part) for part in first["loc"])[:80] or "body"
        raise InputError(f"{place}: {first['msg'][:200]}; see /openapi.json") from None
    return await _what_if(request, asked)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body, refused before anything is made of thousands of keys."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as trouble:
        raise InputError(f"body:{trouble.lineno}:{trouble.colno}: not JSON ({trouble.msg[:80]}); send an object such as {{}}") from None
    if not isinstance(found, dict) or len(found) > len(WhatIf.model_fields):
        raise InputError(f"body: expected an object with some of {', '.join(WhatIf.model_fields)}; see /openapi.json")
    return found


async def _what_if(request: Request, asked: WhatIf) -> Response:
    service = service_of(request)
    given = asked.model_dump(exclude_none=True, exclude={"at", "source"})
    publication, health = newest(service, asked.source)
    at_ns = time_ns(asked.at)

    def work() -> dict[str, Any]:
        from tailwag.experiments.measure import measure

        seq, base = _measurement(service, publication.source, at_ns)
        measurement = measure(base.snapshot, _options(base, asked))
        beside = envelope(publication, health) if seq == publication.seq else past_envelope(seq, publication)
        return {**measurement.document(), **beside, "what_if": given}

    return packed(request, json_answer(await heavily(request, work)))


def _options(base: Measurement, asked: WhatIf) -> Any:
    from tailwag.positioning import parse_rule

    changes: dict[str, Any] = {
        name: value for name in ("depth_usd_per_pct", "move_pct", "hedge_share", "dynamics") if (value := getattr(asked, name)) is not None
    }
    if asked.depth_usd_per_pct is not None:
        changes["liquidity"] = "given"
    if asked.rule:
        if any(text.count("+") >= MOST_PARTS for text in asked.rule):
            raise InputError(f"a mixture of more than {MOST_PARTS} rules is not measured here; use tailwag measure")
        # rules that read files of the server are not offered: no reader is given
        changes["rules"] = tuple(parse_rule(text) for text in dict.fromkeys(asked.rule))
    return replace(base.options, **changes)


def _measurement(service: Service, source: str, at_ns: int | None) -> tuple[int, Measurement]:
    """The measurement of a source at a time, the newest where none is given."""
    publication, _ = newest(service, source)
    if at_ns is None or at_ns >= publication.as_of_ns:
        return publication.seq, publication.measurement
    past = service.archive.at(at_ns, source=source, newest_seq=publication.seq)
    return past.seq, past.measurement


@needs(Role.VIEWER)
async def own_book(request: Request, at: At = None, source: AnySource = None) -> Response:
    """Price a desk's own book (CSV in the body: instrument, contracts) on the market's surface; nothing of it is kept."""
    refuse_unknown(request, "at", "source")
    service, at_ns, body = service_of(request), time_ns(at), await request.body()
    kind = request.headers.get("content-type", "text/csv").partition(";")[0].strip().lower()
    if kind not in ("text/csv", "text/plain", "application/octet-stream", "application/csv"):
        raise HTTPException(415, "expected the book as text/csv")
    text = _book_text(body)
    publication, health = newest(service, source)

    def work() -> dict[str, Any]:
        from tailwag.experiments.own_blocks import my_book_block

        seq, base = _measurement(service, publication.source, at_ns)
        block = my_book_block(replace(base, options=replace(base.options, own_book=text)))
        as_of = format_time(base.snapshot.as_of_ns)
        beside = envelope(publication, health) if seq == publication.seq else past_envelope(seq, publication)
        return {"as_of": as_of, "spot_usd": base.snapshot.spot_usd, **beside, "my_book": block}

    return json_answer(await heavily(request, work))


def _book_text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        raise InputError(f"expected UTF-8 text, byte {trouble.start} is not; save the CSV as UTF-8") from None
    if not text.strip():
        raise InputError("the body is empty; send CSV with the columns instrument, contracts")
    if text.count("\n") > MOST_BOOK_LINES:
        raise InputError(f"more than {MOST_BOOK_LINES} lines; send a smaller book, or use tailwag measure --book")
    return text
