"""What ``tailwag query`` and ``compact`` do once their words are parsed."""

from __future__ import annotations

import csv
import io
import math
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.cli.recording import _write_json
from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.sources.store.sql import Answer

ROWS_SHOWN = 60
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """The words of one ``tailwag query`` call, as typed."""

    store: str
    sql: str | None
    start: str | None
    end: str | None
    rows: int
    seconds: float
    json_file: str | None
    csv_file: str | None
    views: bool


def run_query(request: QueryRequest) -> None:
    """Ask, and write the answer as a table, JSON or CSV; what is missing from it is said on stderr."""
    from tailwag.market.clock import parse_time_ns
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.sql import Limits, Queries
    from tailwag.sources.store.verify import refuse_no_store

    folder = Path(checked_path_text(request.store))
    if request.views:
        refuse_no_store(folder)
        sys.stdout.write(_views(folder))
        return
    if not request.sql:
        raise InputError("expected one SELECT behind DIR; tailwag query --help shows three, --views the columns")
    span = [None if text is None else parse_time_ns(text) for text in (request.start, request.end)]
    queries = Queries(folder, limits=Limits(request.rows, request.seconds), progress=_progress)
    answer = queries.ask(request.sql, from_ns=span[0], to_ns=span[1])
    _say_what_is_missing(request, answer)
    _give(request, answer)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _say_what_is_missing(request: QueryRequest, answer: Answer) -> None:
    if answer.more:
        sys.stderr.write(f"tailwag: the first {request.rows} rows; more with --rows\n")
    if answer.unkept:
        sys.stderr.write(
            f"tailwag: the tables could not be kept ({answer.unkept}), so they were made for this question alone; the next takes as long\n"
        )
    if answer.left_out:
        first = ", ".join(map(str, answer.left_out[:10]))
        sys.stderr.write(
            f"tailwag: {len(answer.left_out)} damaged records are not in the answer ({first}); see tailwag verify {request.store}\n"
        )
    for name in answer.damaged_series:
        sys.stderr.write(f"tailwag: series/{name} is damaged and not in the answer; tailwag serve measures it again\n")


def _views(folder: Path) -> str:
    from tailwag.sources.store.sql import store_views

    return "".join(f"{view}\n" + "".join(f"  {name}  {kind}\n" for name, kind in columns) for view, columns in store_views(folder).items())


def _give(request: QueryRequest, answer: Answer) -> None:
    if request.json_file:
        rows = [dict(zip(answer.columns, map(_plain, row))) for row in answer.rows]
        document = {"schema": "tailwag.query/1", "columns": list(answer.columns), "rows": rows, "more": answer.more}
        _write_json(request.json_file, {**document, "left_out": list(answer.left_out), "damaged_series": list(answer.damaged_series)})
    if request.csv_file:
        _write_text(request.csv_file, _csv(answer))
    if "-" not in (request.json_file, request.csv_file):
        sys.stdout.write(_shown(answer))


def _plain(value: Any) -> Any:
    """A value as strict JSON has it: times in ISO form and UTC, numbers that are none as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _plain(float(value))
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > (1 << 63) - 1:
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _csv(answer: Answer) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([_cell(name) for name in answer.columns])
    writer.writerows([_cell(_plain(value)) for value in row] for row in answer.rows)
    return sink.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a quote in front; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_text(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a file in a folder that exists and may be written") from None


def _shown(answer: Answer) -> str:
    """The first rows as a table of plain text."""
    cells = [[_word(value) for value in row] for row in answer.rows[:ROWS_SHOWN]]
    widths = [max([len(name), *(len(row[place]) for row in cells)]) for place, name in enumerate(answer.columns)]
    lines = ["  ".join(word.rjust(width) for word, width in zip(row, widths)) for row in ([*answer.columns], *cells)]
    if len(answer.rows) > ROWS_SHOWN:
        lines.append(f"... {len(answer.rows) - ROWS_SHOWN} more rows: --json or --csv writes them all")
    return "\n".join(lines) + "\n"


def _word(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, float):
        return f"{plain:,.6g}" if abs(plain) < 1e6 else f"{plain:,.0f}"
    text = "" if plain is None else str(plain)
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:80]


def run_compact(store: str, json_file: str | None) -> None:
    """Compact a store and say what it saved; exit 1 where a segment stays as it is because it is damaged."""
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.compaction import compact_store

    done = compact_store(checked_path_text(store))
    if json_file:
        _write_json(json_file, done.document())
    if json_file != "-":
        sys.stdout.write(
            f"{store}: {done.files_before} segment files of {done.bytes_before / 1e6:,.1f} MB are now {done.files_after} of "
            f"{done.bytes_after / 1e6:,.1f} MB; {done.records} records compacted, every one read back\n"
        )
    if done.left:
        sys.stderr.write(f"tailwag: left as they are, something is wrong with them: {', '.join(done.left)}; see tailwag verify {store}\n")
        raise SystemExit(1)
