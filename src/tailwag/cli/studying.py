"""What ``tailwag study`` does once its words are parsed: estimate, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.study.run import StudyRequest


@dataclass(frozen=True, slots=True)
class StudyWords:
    """The words of one ``tailwag study`` call, as typed."""

    name: str
    paths: tuple[str, ...]
    panel: str | None
    candles: str | None
    currency: str
    block_days: int
    seed: int
    json_file: str | None
    png: str | None


def run_named(words: StudyWords) -> None:
    """Run the study that was named; InputError for words that belong to another."""
    from tailwag.experiments.study.run import StudyRequest

    if words.name == "trades":
        _refuse_strange(words, ("panel", "candles"))
        return _run_trades(words)
    _refuse_strange(words, ("paths", "png"))
    run_study(
        StudyRequest(words.name, _given("--panel", words.panel), _given("--candles", words.candles), words.currency, words.seed),
        words.json_file,
    )
    return None


def _refuse_strange(words: StudyWords, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(words, name):
            shown = "files" if name == "paths" else f"--{name}"
            raise InputError(f"study {words.name[:40]!a} takes no {shown}; leave it out, or see tailwag study --help")


def _given(option: str, value: str | None) -> str:
    if value is None:
        raise InputError(f"this study needs {option}; see tailwag study --help")
    return value


def _run_trades(words: StudyWords) -> None:
    from tailwag.cli.simulating import _progress
    from tailwag.experiments.study.trade_signs_run import TradesRequest, trade_signs
    from tailwag.experiments.study.trade_signs_words import print_trade_signs

    _refuse_nowhere(json=words.json_file, png=words.png)
    with _progress() as (say, _):
        document = trade_signs(TradesRequest(words.paths, words.currency, words.block_days, words.seed), say=say)
    _tell(document, words, print_trade_signs)


def _tell(document: dict[str, Any], words: StudyWords, told: Callable[[dict[str, Any]], None]) -> None:
    """Draw and write what was asked for, and print the document, or with ``--json -`` it alone."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole

    text = strict_json(document) + b"\n"
    drawn = {} if words.png is None else {words.png: _picture(document)}
    if words.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        told(document)
        drawn |= {} if words.json_file is None else {words.json_file: text}
    for path, data in drawn.items():
        write_whole(Path(path), data)
        (sys.stderr if words.json_file == "-" else sys.stdout).write(f"wrote {path}\n")


def _picture(document: dict[str, Any]) -> bytes:
    from tailwag.experiments.study.trade_signs_picture import trade_signs_png

    return trade_signs_png(document)


def _refuse_nowhere(**files: str | None) -> None:
    """Refuse before any work what could not be written at its end."""
    for option, path in files.items():
        if path not in (None, "-") and not Path(str(path)).parent.is_dir():
            raise InputError(f"--{option} expects a file in a folder that exists, got {str(path)[:80]!a}; make the folder or name another")
        if path == "-" and option != "json":
            raise InputError(f"--{option} expects a file, got '-'; only --json goes to stdout")


def run_study(request: StudyRequest, json_file: str | None) -> None:
    """Estimate and print; with ``--json -`` the document alone."""
    from tailwag.cli.simulating import _progress
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.study.run import study
    from tailwag.experiments.study.words import print_study

    if json_file is not None and json_file != "-" and not Path(json_file).parent.is_dir():
        raise InputError(f"--json expects a file in a folder that exists, got {json_file[:80]!a}; make the folder or name another")
    with _progress() as (say, _):
        document = study(request, say=say)
    text = strict_json(document) + b"\n"
    if json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    print_study(document)
    if json_file is not None:
        write_whole(Path(json_file), text)
        sys.stdout.write(f"wrote {json_file}\n")
