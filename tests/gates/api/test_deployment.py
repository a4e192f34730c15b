"""The unit and the container file say what exists, shut out what they can, and pass their linters."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[3]
UNIT, CONTAINER = ROOT / "deploy" / "tailwag.service", ROOT / "deploy" / "Containerfile"
MOST_EXPOSED = 15
"""Tenths, as ``systemd-analyze security`` counts: 0 is a locked box, 100 an open house."""


def settings_of(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def serve_options() -> set[str]:
    from tailwag.cli import build_app

    command = typer.main.get_command(build_app()).commands["serve"]  # type: ignore[attr-defined]
    return {spelling for parameter in command.params for spelling in parameter.opts}


def test_the_words_of_both_are_words_of_the_program() -> None:
    unit = settings_of(UNIT.read_text())
    started = shlex.split(unit["ExecStart"][0])[1:]
    inside = re.findall(r'"([^"]+)"', next(line for line in CONTAINER.read_text().splitlines() if line.startswith("CMD")))
    for words in (started, inside):
        assert words[0] == "serve"
        assert {word for word in words if word.startswith("--")} <= serve_options()


def test_the_unit_shuts_out_what_it_can_and_starts_again() -> None:
    unit = settings_of(UNIT.read_text())
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "LockPersonality", "RestrictSUIDSGID", "ProtectKernelModules"):
        assert unit[name] == ["yes"], name
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["Restart"] == ["on-failure"]
    assert unit["Type"] == ["notify"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["User"] != ["root"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    copy = tmp_path / "tailwag.service"
    copy.write_text(UNIT.read_text().replace("/opt/tailwag/bin/tailwag", shutil.which("true") or "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "tailwag" in line]) == (0, []), verified.stderr
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(copy)]
    scored = subprocess.run(words, capture_output=True, text=True, check=False)
    assert scored.returncode == 0, scored.stdout[-200:] + scored.stderr


@pytest.mark.skipif(not Path(sys.executable).with_name("hadolint").exists(), reason="needs hadolint")
def test_the_container_file_passes_its_linter() -> None:
    linted = subprocess.run([str(Path(sys.executable).with_name("hadolint")), str(CONTAINER)], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_container_takes_what_is_there_runs_as_nobody_and_keeps_its_store() -> None:
    text = CONTAINER.read_text()
    for line in text.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
    ignored = (ROOT / "deploy" / "Containerfile.dockerignore").read_text()
    copied = {name for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]}
    assert {name for name in copied if f"!{name}" not in ignored} == set()
    assert "-c constraints.txt" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert 'VOLUME ["/var/lib/tailwag"]' in text
    assert "/healthz" in text
    assert not re.search(r"token|password|secret", text, re.IGNORECASE)


def test_started_as_the_unit_starts_it_the_manager_hears_of_it(tmp_path: Path) -> None:
    """The unit's own environment and words, with a source that needs no network."""
    unit = settings_of(UNIT.read_text())
    words = shlex.split(unit["ExecStart"][0].replace("/var/lib/tailwag", str(tmp_path)))[1:]
    words = [word.replace("deribit:BTC", "demo") for word in words]
    second = words.index("deribit:ETH")
    words = [*words[: second - 1], *words[second + 1 :], "--port", "0"]
    given = dict(pair.split("=", 1) for pair in shlex.split(unit["Environment"][0].replace("/var/cache/tailwag", str(tmp_path / "cache"))))
    given.pop("NUMBA_CACHE_DIR")  # an empty one would compile for a minute
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60.0)
        environment = {**os.environ, **given, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        with subprocess.Popen(
            [sys.executable, "-m", "tailwag", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            heard = [manager.recv(64) for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30.0) == 0
        while heard[-1] != b"STOPPING=1":
            heard.append(manager.recv(64))
    assert set(heard) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}
    assert heard.count(b"READY=1") == 1
