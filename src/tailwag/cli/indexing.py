"""What ``tailwag index`` does once its words are parsed."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailwag.errors import InputError

COLUMNS = ("date", "currency", "loop_gain", "regime", "hedged_oi_ratio", "loop_gain_before_expiry", "expiry_step", "synthetic", "reason")


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """The words of one ``tailwag index`` call, as typed."""

    store: str
    currency: str
    source: str | None
    start: str | None
    end: str | None
    json_file: str | None
    csv_file: str | None


def run_index(request: IndexRequest) -> None:
    """Work the days out, and write them where they are asked for.

    Raises InputError for a folder that is no store, a time that is none, and two outputs on stdout.
    """
    if request.json_file == "-" and request.csv_file == "-":
        raise InputError("--json - and --csv - both want stdout; give one of them a file")
    days = _days(request)
    document = {"definition": _definition(), "currency": request.currency, "source": request.source, "days": days}
    if request.json_file is not None:
        from tailwag.experiments.report_json import strict_json

        _write(request.json_file, strict_json(document) + b"\n")
    if request.csv_file is not None:
        _write(request.csv_file, _table(days).encode())
    if "-" not in (request.json_file, request.csv_file):
        sys.stdout.write("".join(f"{_line(day)}\n" for day in days) or f"{_none(request)}\n")


def _days(request: IndexRequest) -> list[dict[str, Any]]:
    from tailwag.cli.measuring import _check_currency
    from tailwag.market.clock import LATEST_NS, parse_time_ns
    from tailwag.service.index_days import FOLDER, IndexDays, IndexOf
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.history import History

    _check_currency(request.currency)
    from_ns = 0 if request.start is None else parse_time_ns(request.start)
    to_ns = LATEST_NS if request.end is None else parse_time_ns(request.end)
    if from_ns > to_ns:
        raise InputError("--from lies after --to; give the earlier time first")
    folder = Path(checked_path_text(request.store))
    of = IndexOf(request.currency, request.source)
    return IndexDays(of, keep=folder / FOLDER).days(History.open(folder), from_ns, to_ns)[0]


def _definition() -> dict[str, Any]:
    from tailwag.risk.gain_index import DEFINITION

    return DEFINITION.document()


def _table(days: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([day[column] for column in COLUMNS] for day in days)
    return text.getvalue()


def _line(day: dict[str, Any]) -> str:
    gain, ratio, step = day["loop_gain"], day["hedged_oi_ratio"], day["expiry_step"]
    said = f"loop gain {gain:+.3f} {day['regime']}" if gain is not None else f"no loop gain: {day['reason']}"
    parts = [
        f"{day['date']} {day['currency']}{' SYNTHETIC' if day['synthetic'] else ''}  {said}",
        "" if step is None else f"expiry {step:+.3f}",
        f"hedged OI {ratio:.3f} of a day's volume" if ratio is not None else f"no hedged-OI ratio: {day['hedged_oi_reason']}",
    ]
    return "; ".join(part for part in parts if part)


def _none(request: IndexRequest) -> str:
    return (
        f"no day of {request.currency} yet: none that is over holds a snapshot from 06:30 to 07:30 or from 08:30 to 09:30 UTC; "
        "record through one of these hours"
    )


def _write(path: str, data: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    try:
        Path(path).write_bytes(data)
    except OSError as trouble:
        raise InputError(f"cannot write {path[:80]!a} ({trouble.strerror}); choose another file") from None
