"""The description of the API: what FastAPI reads off the routes, with the types of the answers, who may ask, and values to try."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from tailwag.service.auth import Role, access_of
from tailwag.service.schemas import components

TOKEN = "token"
EXAMPLES: dict[str, Any] = {
    "at": "2026-09-15T14:30:00Z",
    "from": "2026-09-15T14:00:00Z",
    "to": "2026-09-16T08:00:00Z",
    "field": "gain.value",
    "limit": 100,
    "every_s": 300.0,
    "most": 1200,
    "currency": "BTC",
    "rule": ["short-all"],
    "depth_usd_per_pct": 40e6,
    "move_pct": 1.0,
    "hedge_share": 0.6,
    "dynamics": "sticky-strike",
    "name": "style.css",
}
TIME = r"^20(09|[1-9]\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$"
DYNAMICS = r"^(sticky-strike|sticky-moneyness|ssr:-?[0-4](\.\d{1,4})?)$"
_RULE = r"(long-calls-short-puts|short-all|long-all|customers-sell-otm|customers-buy:(0(\.\d{1,4})?|1))"
RULE = rf"^({_RULE}|mixture:{_RULE}@0\.\d{{1,4}}(\+{_RULE}@0\.\d{{1,4}}){{1,5}})$"
BOOK = "instrument,contracts\nBTC-PERPETUAL,-1000\n"


def described(app: FastAPI, *, source_names: tuple[str, ...], open_reading: bool) -> dict[str, Any]:
    """The whole description; sources are those of this service, and a token is optional where reading is open."""
    found = copy.deepcopy(FastAPI.openapi(app))
    parts = found.setdefault("components", {})
    parts["schemas"] = {**parts.get("schemas", {}), **components()}
    parts["securitySchemes"] = {TOKEN: {"type": "http", "scheme": "bearer", "description": "A token of the token file."}}
    for (path, method), endpoint in _endpoints(app).items():
        operation = found["paths"][path][method]
        operation["operationId"] = endpoint.__name__
        access = access_of(endpoint)
        if access is not None and access.role is not Role.PUBLIC:
            operation["security"] = [{TOKEN: []}, {}] if open_reading else [{TOKEN: []}]
            operation["description"] = f"{operation.get('description', '')}\n\nRole: {access.role.name.lower()}."
        for parameter in operation.get("parameters", []):
            _explain(parameter, source_names)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            _explain_body(content, source_names)
    return found


def _endpoints(app: FastAPI) -> dict[tuple[str, str], Any]:
    return {
        (route.path_format, method.lower()): route.endpoint
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def _explain(parameter: dict[str, Any], source_names: tuple[str, ...]) -> None:
    """Say what no type of Python says: a time's form, the sources there are, a value to try."""
    schema = parameter["schema"]
    # an address has no null: what is unknown is left out
    parameter["schema"] = _explained(parameter["name"], next(iter(schema.get("anyOf", [schema]))), source_names)
    if parameter["name"] in EXAMPLES:
        parameter["example"] = EXAMPLES[parameter["name"]]


def _explain_body(content: dict[str, Any], source_names: tuple[str, ...]) -> None:
    properties = content["schema"].get("properties")
    if properties is None:
        content["example"] = BOOK
        return
    for name, schema in properties.items():
        choices = schema.pop("anyOf", None)
        if choices is None:
            schema.update(_explained(name, schema, source_names))
        else:
            schema["anyOf"] = [choice if choice == {"type": "null"} else _explained(name, choice, source_names) for choice in choices]
    content["example"] = {name: EXAMPLES[name] for name in properties if name in EXAMPLES and name != "at"}


def _explained(name: str, schema: dict[str, Any], source_names: tuple[str, ...]) -> dict[str, Any]:
    if name == "source":
        return {"type": "string", "enum": list(source_names)}
    if name == "rule":
        return {**schema, "items": {**schema["items"], "pattern": RULE}}
    if name == "dynamics":
        return {**schema, "pattern": DYNAMICS}
    if name in ("at", "from", "to"):
        return {"type": "string", "format": "date-time", "pattern": TIME, "maxLength": 40}
    return schema
