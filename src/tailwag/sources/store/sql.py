"""SQL over a store: one SELECT over its views, in memory, that can reach no file, no network and no setting."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailwag.errors import InputError, MissingPackageError, StoreError
from tailwag.sources.store.history import History
from tailwag.sources.store.periods import FOLDER, IN_MEMORY_RECORDS, Made, columns_are_whole, frames_in_memory, updated_tables
from tailwag.sources.store.series_files import damaged_series, series_columns, series_table
from tailwag.sources.store.tables import TABLES, empty_frames

ROW_LIMIT = 100_000
SECONDS_LIMIT = 60.0
MEMORY_LIMIT = "2GB"
SQL_LIMIT_CHARACTERS = 20_000
_ONCE = {
    "trades": "venue, instrument, trade_id, time_ns",
    "liquidations": "venue, instrument, trade_id, time_ns, order_sign, amount_usd",
}
"""A print that several snapshots hold counts once: what makes it the same print."""
_GENERATORS = frozenset({"range", "generate_series", "unnest"})
_CATALOGUE = ("pg_", "duckdb_", "sqlite_", "pragma_")
_SETTINGS = frozenset({"current_setting", "getenv", "getvariable"})
VIEWS = (*TABLES, "series")
_ATTEMPTS = 5
_Rows = tuple[tuple[str, ...], list[tuple[Any, ...]]]
_Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query; ``more`` where it had more than the limit, ``left_out`` the damaged records that gave no rows.

    ``damaged_series`` are the files of the series that gave none either; ``unkept`` says why the disk kept no tables, where it did not.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool = False
    left_out: tuple[int, ...] = ()
    damaged_series: tuple[str, ...] = ()
    unkept: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a query may give and take."""

    rows: int = ROW_LIMIT
    seconds: float = SECONDS_LIMIT


@dataclass(slots=True)
class _Named:
    """The names a statement uses."""

    tables: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    every_column: bool = False


class Queries:
    """A store that is asked in SQL; its index and tables are brought up to date at each question."""

    def __init__(self, folder: Path, *, limits: Limits | None = None, progress: Callable[[str], None] | None = None) -> None:
        self._history = History.open(folder)
        self._limits, self._progress, self._unkept = limits or Limits(), progress, ""
        self._read: dict[Path, _Identity | None] = {}

    def ask(self, sql: str, *, from_ns: int | None = None, to_ns: int | None = None) -> Answer:
        """Run one SELECT; with ``from_ns`` and ``to_ns`` only records of days that touch the span are looked at.

        Raises InputError for anything but one SELECT over the views, and where the answer takes too long; StoreError where tables cannot
        be made; MissingPackageError without DuckDB.
        """
        connection = _connection()
        try:
            named = _checked(connection, sql)
            (columns, rows), left_out = self._undisturbed(connection, sql, named, (from_ns, to_ns))
        finally:
            connection.close()
        series = tuple(damaged_series(self._history.folder)) if "series" in named.tables else ()
        return Answer(columns, rows[: self._limits.rows], len(rows) > self._limits.rows, left_out, series, self._unkept)

    def _undisturbed(self, connection: Any, sql: str, named: _Named, span: tuple[int | None, int | None]) -> tuple[_Rows, tuple[int, ...]]:
        """The rows of a statement and the damaged records; run again where another query has made a table anew under it."""
        for _ in range(_ATTEMPTS):
            self._history = self._history.refreshed()
            try:
                left_out = self._register(connection, named, *span)
                rows = _run(connection, sql, self._limits)
            except (InputError, OSError):
                if self._stands():
                    raise
                continue
            if self._stands():
                return rows, left_out
        raise StoreError(f"{self._history.folder / FOLDER}: tables were made anew under each of {_ATTEMPTS} readings; ask again")

    def _stands(self) -> bool:
        """Whether every file of the tables is still the one that was found whole."""
        return all(_identity(path) == one for path, one in self._read.items())

    def _register(self, connection: Any, named: _Named, from_ns: int | None, to_ns: int | None) -> tuple[int, ...]:
        wanted = [name for name in TABLES if name in named.tables]
        left_out: set[int] = set()
        if wanted:
            tables, damaged = self._tables(wanted, named, from_ns, to_ns)
            left_out.update(damaged)
            for name in wanted:
                _register(connection, name, tables[name])
        if "series" in named.tables:
            columns = None if named.every_column else named.columns
            connection.register("series", series_table(self._history.folder, columns))
        return tuple(sorted(left_out))

    def _tables(self, wanted: list[str], named: _Named, from_ns: int | None, to_ns: int | None) -> tuple[dict[str, Any], set[int]]:
        """Each table and the damaged records that are not in them; made for this question alone where the disk keeps none."""
        self._unkept = ""
        self._read = {}
        try:
            made = self._trusted(wanted, named, from_ns, to_ns)
        except StoreError as refused:
            if not isinstance(refused.__cause__, OSError):
                raise
            found = frames_in_memory(self._history, from_ns=from_ns, to_ns=to_ns)
            if found is None:
                raise StoreError(
                    f"{refused}; or ask for at most {IN_MEMORY_RECORDS:,} records with --from and --to, which need no tables"
                ) from refused
            self._unkept = refused.__cause__.strerror or str(refused.__cause__)
            return {name: found[0][name].to_arrow(compat_level=_plain_text()) for name in wanted}, set(found[1])
        datasets = {name: _dataset(self._history.folder, name, made) for name in wanted}
        return datasets, {seq for one in made for seq in one.left_out}

    def _trusted(self, wanted: list[str], named: _Named, from_ns: int | None, to_ns: int | None) -> list[Made]:
        """Periods whose columns have just been found whole; what is not is made anew."""
        folder = self._history.folder
        distrusted: frozenset[str] = frozenset()
        for rank in range(_ATTEMPTS):
            if rank:
                self._history = self._history.refreshed()
            made = updated_tables(
                self._history,
                from_ns=from_ns,
                to_ns=to_ns,
                tables=frozenset(wanted),
                distrusted=distrusted,
                progress=self._progress,
            )
            self._read = {path: _identity(path) for one in made for name in wanted if (path := _path(folder, one, name)) is not None}
            distrusted = frozenset(one.name for one in made if not _is_whole(folder, one, wanted, named))
            if not distrusted:
                return made
        raise StoreError(f"{folder / FOLDER}: tables that were just made do not read back the same; check the disk")


def store_views(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Every view with the names and types of its columns."""
    found = {name: [(column, _type_name(kind)) for column, kind in frame.schema.items()] for name, frame in empty_frames().items()}
    return {**found, "series": series_columns(folder)}


def _type_name(kind: Any) -> str:
    return {"Int64": "BIGINT", "Float64": "DOUBLE", "String": "VARCHAR", "Boolean": "BOOLEAN"}.get(str(kind), "TIMESTAMP")


def _connection() -> Any:
    try:
        import duckdb
    except ImportError:
        raise MissingPackageError("tailwag query needs DuckDB; pip install 'tailwag[sql]'") from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "allow_community_extensions": "false",
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": "",
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET lock_configuration = true")
    return connection


def _checked(connection: Any, sql: str) -> _Named:
    """What a statement names, once it is found to be one SELECT over the views and nothing else."""
    if len(sql) > SQL_LIMIT_CHARACTERS:
        raise InputError(f"expected at most {SQL_LIMIT_CHARACTERS} characters of SQL, got {len(sql)}")
    tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if tree.get("error"):
        reason = str(tree.get("error_message", "")).partition("\n")[0][:200]
        raise InputError(f"expected one SELECT over the views {', '.join(VIEWS)}; {reason}")
    if len(tree["statements"]) != 1:
        raise InputError(f"expected one SELECT, got {len(tree['statements'])} statements; send them one at a time")
    named = _Named()
    _collect(tree["statements"][0], named)
    strange = sorted(name for name in named.tables - named.own if name not in VIEWS)
    if strange:
        raise InputError(f"there is no view {strange[0][:60]!a}; the views are {', '.join(VIEWS)}")
    # outside its statement such a name would be DuckDB's own catalogue again
    strange = sorted(name for name in named.own if name.startswith(_CATALOGUE))
    if strange:
        raise InputError(f"{strange[0][:60]!a} is no name for a part of a query; give it another")
    strange = sorted(named.functions - _GENERATORS)
    if strange:
        raise InputError(f"the function {strange[0][:60]!a} is not allowed here; the views are {', '.join(VIEWS)}")
    return named


def _collect(node: Any, named: _Named) -> None:
    """Walk a parsed statement."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            _note(one, named)
            stack.extend(one.values())


def _note(node: dict[str, Any], named: _Named) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        if node.get("schema_name") or node.get("catalog_name"):
            raise InputError(f"there is no schema {str(node.get('schema_name') or node.get('catalog_name'))[:60]!a}; name the view alone")
        named.tables.add(str(node["table_name"]).lower())
    elif kind == "TABLE_FUNCTION":
        named.functions.add(str(node["function"]["function_name"]).lower())
    elif kind in ("SHOW_REF", "SHOW"):
        raise InputError("expected a SELECT; tailwag query DIR --views lists the views and their columns")
    elif kind == "COLUMN_REF":
        named.columns.update(str(name) for name in node.get("column_names", []))
    elif kind == "STAR":
        named.every_column = True
    elif kind == "FUNCTION" and str(node.get("function_name")).lower() in _SETTINGS:
        named.functions.add(str(node["function_name"]).lower())
    for entry in (node.get("cte_map") or {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []:
        named.own.add(str(entry["key"]).lower())


def _columns_of(name: str, named: _Named, there: list[str]) -> list[str]:
    """Columns of a table that a statement may read: those it names, and those that tell prints apart."""
    if named.every_column:
        return there
    lower = {column.lower() for column in named.columns}
    keys = {key.strip() for key in _ONCE.get(name, "").split(",")} | {"seq"}
    return [column for column in there if column.lower() in lower or column in keys]


def _is_whole(folder: Path, made: Made, wanted: list[str], named: _Named) -> bool:
    return all(
        columns_are_whole(folder, made, name, _columns_of(name, named, [*made.files[name]["columns"]]))
        for name in wanted
        if name in made.files
    )


def _path(folder: Path, made: Made, name: str) -> Path | None:
    """The file of a table in a period, None where it has no rows there."""
    return folder / FOLDER / made.name / f"{name}.parquet" if name in made.files else None


def _identity(path: Path) -> _Identity | None:
    """What tells a file from another that has taken its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _dataset(folder: Path, name: str, made: list[Made]) -> Any:
    """The files of one table as an Arrow dataset: DuckDB asks it for the columns it needs, and skips days by their times."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import fs

    schema = empty_frames()[name].to_arrow(compat_level=_plain_text()).schema
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    there = [one for one in made if name in one.files]
    if not there:
        return schema.empty_table()
    bounds = [
        (ds.field("as_of") >= pa.scalar(one.first_ns // 1_000, pa.timestamp("us")))
        & (ds.field("as_of") <= pa.scalar(one.last_ns // 1_000, pa.timestamp("us")))
        for one in there
    ]
    paths = [str(path.resolve()) for one in there if (path := _path(folder, one, name)) is not None]
    return ds.FileSystemDataset.from_paths(paths, schema=schema, format=form, filesystem=fs.LocalFileSystem(), partitions=bounds)


def _plain_text() -> Any:
    import polars as pl

    return pl.CompatLevel.oldest()


def _register(connection: Any, name: str, dataset: Any) -> None:
    if name not in _ONCE:
        connection.register(name, dataset)
        return
    connection.register(f"{name}_recorded", dataset)
    once = f"row_number() OVER (PARTITION BY {_ONCE[name]} ORDER BY seq) = 1"
    connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {name}_recorded QUALIFY {once}")


def _run(connection: Any, sql: str, limits: Limits) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    import duckdb

    try:
        with _interrupted_after(connection, limits.seconds):
            result = connection.execute(sql)
            rows = result.fetchmany(limits.rows + 1)
            return tuple(column[0] for column in result.description), rows
    except duckdb.InterruptException:
        raise InputError(f"the query took longer than {limits.seconds:g} s; narrow it with --from and --to, or raise --seconds") from None
    except duckdb.OutOfMemoryException:
        raise InputError(
            f"the query needs more than {MEMORY_LIMIT} of memory; narrow it with --from and --to, or sum before sorting"
        ) from None
    except duckdb.Error as error:
        if "pytz" in str(error):
            raise InputError(
                "a time with a zone cannot be given, times here are UTC without one; cast it, as in now()::timestamp"
            ) from None
        reason = str(error).partition("\nLINE")[0].replace("\n", " ")[:300]
        raise InputError(f"the query cannot be run: {reason}") from None


@contextmanager
def _interrupted_after(connection: Any, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
