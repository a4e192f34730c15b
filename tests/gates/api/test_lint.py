"""Nothing of the product runs what it reads, and nothing below the service asks a clock or a die of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailwag

SOURCE = Path(tailwag.__file__).parent
RUNS_WHAT_IT_READS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "yaml", "shelve", "marshal", "ctypes", "pty", "telnetlib"}
CALLS = {
    "os.system",
    "os.popen",
    "os.execv",
    "os.execvp",
    "np.random.seed",
    "random.random",
    "random.seed",
    "np.random.rand",
    "np.random.normal",
}
CLOCKS = {"time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "datetime.datetime.now"}
CLOCK_ROOMS = {"service", "cli", "sources", "experiments"}
"""Rooms that may own a clock; below them it comes as an argument."""
SUBPROCESSES = {"service/build.py"}
STRINGS = ("autoinstall_known_extensions=true", "autoload_known_extensions=true", "allow_unsigned_extensions")


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def faults(text: str, name: str) -> Iterator[str]:
    room, tree = name.partition("/")[0], ast.parse(text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{where} imports {module}" for module in modules if module.split(".")[0] in MODULES)
            if any(module.split(".")[0] == "subprocess" for module in modules) and name not in SUBPROCESSES:
                yield f"{where} imports subprocess"
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            given_one = called.startswith("random.") and "random" not in imported  # a generator that came as an argument
            if (called in RUNS_WHAT_IT_READS | CALLS and not given_one) or called.endswith((".read_pickle", ".to_pickle")):
                yield f"{where} calls {called}"
            if called in CLOCKS and room not in CLOCK_ROOMS:
                yield f"{where} asks {called}"
            for given in node.keywords:
                if given.arg in ("shell", "allow_pickle") and not (isinstance(given.value, ast.Constant) and given.value.value is False):
                    yield f"{where} gives {given.arg}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            small = node.value.lower().replace(" ", "")
            yield from (f"{where} says {word}" for word in STRINGS if word in small)


def test_nothing_of_the_product_does() -> None:
    found = [fault for path in sorted(SOURCE.rglob("*.py")) for fault in faults(path.read_text(), path.relative_to(SOURCE).as_posix())]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from yaml import load",
        "eval('1')",
        "import subprocess",
        "run('ls', shell=True)",
        "np.load('x', allow_pickle=True)",
        "con.execute('SET autoinstall_known_extensions = true')",
        "import time\ntime.time()",
        "np.random.seed(1)",
        "os.system('ls')",
        "import random\nrandom.random()",
    ],
)
def test_each_would_be_found(text: str) -> None:
    assert list(faults(text, "feedback/x.py"))
