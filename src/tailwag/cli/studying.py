"""What ``tailwag study`` does once its words are parsed: estimate, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailwag.errors import InputError


@dataclass(frozen=True, slots=True)
class StudyWords:
    """The words of one ``tailwag study`` call, as typed."""

    name: str
    paths: tuple[str, ...]
    panel: str | None
    candles: str | None
    currency: str
    start: str | None
    end: str | None
    block_days: int
    seed: int
    json_file: str | None
    html: str | None
    png: str | None


def run_named(words: StudyWords) -> None:
    """Run the study that was named; InputError for words that belong to another."""
    if words.name == "trades":
        _refuse_strange(words, ("panel", "candles", "start", "end", "html"))
        return _run_trades(words)
    if words.name == "case":
        _refuse_strange(words, ("paths",))
        return _run_case(words)
    _refuse_strange(words, ("paths", "start", "end"))
    return _run_hypotheses(words)


def _refuse_strange(words: StudyWords, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(words, name):
            shown = {"paths": "files", "start": "--from", "end": "--to"}.get(name, f"--{name}")
            raise InputError(f"study {words.name[:40]!a} takes no {shown}; leave it out, or see tailwag study --help")


def _given(option: str, value: str | None) -> str:
    if value is None:
        raise InputError(f"this study needs {option}; see tailwag study --help")
    return value


def _run_hypotheses(words: StudyWords) -> None:
    from tailwag.cli.simulating import _progress
    from tailwag.experiments.study.report import study_html
    from tailwag.experiments.study.report_card import study_card
    from tailwag.experiments.study.run import StudyRequest, study
    from tailwag.experiments.study.words import print_study

    panel, candles = _given("--panel", words.panel), _given("--candles", words.candles)
    request = StudyRequest(words.name, panel, candles, words.currency, words.seed)
    _refuse_nowhere(json=words.json_file, png=words.png, html=words.html)
    with _progress() as (say, _):
        document = study(request, say=say)
    again = ("--panel", panel, "--candles", candles, "--currency", words.currency, "--seed", str(words.seed))
    pictures = {} if words.png is None else {words.png: study_card(document)}
    pictures |= {} if words.html is None else {words.html: study_html(document, command=("tailwag", "study", words.name, *again)).encode()}
    _tell(document, words.json_file, pictures, print_study)


def _run_trades(words: StudyWords) -> None:
    from tailwag.cli.simulating import _progress
    from tailwag.experiments.study.trade_signs_picture import trade_signs_png
    from tailwag.experiments.study.trade_signs_run import TradesRequest, trade_signs
    from tailwag.experiments.study.trade_signs_words import print_trade_signs

    _refuse_nowhere(json=words.json_file, png=words.png)
    with _progress() as (say, _):
        document = trade_signs(TradesRequest(words.paths, words.currency, words.block_days, words.seed), say=say)
    pictures = {} if words.png is None else {words.png: trade_signs_png(document)}
    _tell(document, words.json_file, pictures, print_trade_signs)


def _run_case(words: StudyWords) -> None:
    from tailwag.cli.simulating import _progress
    from tailwag.experiments.study.case import CaseRequest, case
    from tailwag.experiments.study.case_page import case_html
    from tailwag.experiments.study.case_picture import case_png
    from tailwag.experiments.study.case_words import print_case
    from tailwag.market.clock import parse_time_ns

    _refuse_nowhere(json=words.json_file, png=words.png, html=words.html)
    start_ns, end_ns = parse_time_ns(_given("--from", words.start)), parse_time_ns(_given("--to", words.end))
    request = CaseRequest(_given("--panel", words.panel), _given("--candles", words.candles), start_ns, end_ns, words.currency)
    with _progress() as (say, _):
        say("reading")
        document = case(request)
    pictures = {} if words.png is None else {words.png: case_png(document)}
    pictures |= {} if words.html is None else {words.html: case_html(document).encode()}
    _tell(document, words.json_file, pictures, print_case)


def _tell(document: dict[str, Any], json_file: str | None, pictures: dict[str, bytes], told: Callable[[dict[str, Any]], None]) -> None:
    """Print the document, or with ``--json -`` it alone, and write what was asked for."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole

    text, alone = strict_json(document) + b"\n", json_file == "-"
    written = pictures if json_file is None or alone else {**pictures, json_file: text}
    if alone:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        told(document)
    for path, data in written.items():
        write_whole(Path(path), data)
        (sys.stderr if alone else sys.stdout).write(f"wrote {path}\n")


def _refuse_nowhere(**files: str | None) -> None:
    """Refuse before any work what could not be written at its end."""
    for option, path in files.items():
        if path not in (None, "-") and not Path(str(path)).parent.is_dir():
            raise InputError(f"--{option} expects a file in a folder that exists, got {str(path)[:80]!a}; make the folder or name another")
        if path == "-" and option != "json":
            raise InputError(f"--{option} expects a file, got '-'; only --json goes to stdout")
