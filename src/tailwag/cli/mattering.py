"""What ``tailwag scenario matrix`` does once its words are parsed: play everything, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailwag.errors import InputError


@dataclass(frozen=True, slots=True)
class MatrixWords:
    """The words of one ``tailwag scenario matrix`` call, as typed."""

    names: tuple[str, ...]
    switches: tuple[str, ...]
    paths: int | None
    seed: int | None
    out: str | None
    threads: int | None
    json_file: str | None
    markdown: str | None
    html: str | None
    png: str | None


def run_matrix(words: MatrixWords) -> None:
    """Every mitigation against every scenario, and what was asked for of it."""
    from tailwag.cli.measuring import _kernels_are_cold
    from tailwag.cli.simulating import LOOP_KERNELS, _progress, _threads
    from tailwag.experiments.run_files import output_folder
    from tailwag.experiments.scenario_arms import finish_parts
    from tailwag.experiments.scenario_matrix import MatrixRequest, scenario_matrix
    from tailwag.experiments.scenario_play import Stage

    threads = _threads(words.threads)
    _refuse_nowhere(words)
    if _kernels_are_cold(LOOP_KERNELS):
        sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
    with _progress() as (say, progress):
        folder = None if words.out is None else output_folder(words.out)
        request = MatrixRequest(words.names, words.switches, words.paths, words.seed)
        document = scenario_matrix(request, stage=Stage(threads, folder, say, progress))
        say("drawing")
        written = _write(words, document, folder)
        if folder is not None:
            finish_parts(folder)
    _tell(words, document, written)


def _refuse_nowhere(words: MatrixWords) -> None:
    """Refuse a file that cannot be written before anything runs, not after."""
    named = (("--markdown", words.markdown), ("--html", words.html), ("--png", words.png), ("--json", words.json_file))
    for name, path in named:
        if path is not None and path != "-" and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"{name} expects a file in a folder that exists, got {path[:80]!a}; make the folder or name another")


def _write(words: MatrixWords, document: dict[str, Any], folder: Path | None) -> list[str]:
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.scenario_matrix_picture import matrix_card, matrix_html
    from tailwag.experiments.scenario_matrix_words import matrix_markdown

    text = strict_json(document) + b"\n"
    made: list[tuple[str | None, Callable[[], bytes]]] = [
        (None if folder is None else str(folder / "matrix.json"), lambda: text),
        (words.json_file if words.json_file != "-" else None, lambda: text),
        (words.markdown, lambda: matrix_markdown(document).encode()),
        (words.html, lambda: matrix_html(document).encode()),
        (words.png, lambda: matrix_card(document)),
    ]
    for path, data in made:
        if path is not None:
            write_whole(Path(path), data())
    return [path for path, _ in made if path is not None]


def _tell(words: MatrixWords, document: dict[str, Any], written: list[str]) -> None:
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.scenario_matrix_words import print_matrix

    if words.json_file == "-":
        sys.stdout.buffer.write(strict_json(document) + b"\n")
        sys.stdout.buffer.flush()
        return
    print_matrix(document)
    for path in written:
        sys.stdout.write(f"wrote {path}\n")
