"""What ``tailwag study`` does once its words are parsed: estimate, write, tell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.study.run import StudyRequest


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
