"""A signal may ask to stop at any moment, also in the middle of the wait for it."""

from __future__ import annotations

import subprocess
import sys
import threading

from tailwag.cli.stop_request import StopRequest

INTERRUPTED = """
import sys
from tailwag.cli.stop_request import StopRequest

def interrupted(moment):
    stop, seen = StopRequest(), 0
    def between_two_lines(frame, event, argument):
        nonlocal seen
        seen += 1
        if seen == moment:
            sys.settrace(None)
            stop.set()
        return between_two_lines
    sys.settrace(between_two_lines)
    stop.wait(1e-3)
    sys.settrace(None)
    return stop.is_set()

print([interrupted(moment) for moment in range(1, 40)].count(True))
"""


def test_a_handler_may_ask_between_any_two_lines_of_a_wait() -> None:
    """As a signal's handler does, in the same thread.  An Event in its place waits for itself for ever at the first line under its lock."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert int(done.stdout) >= 3


def test_everybody_who_waits_hears_it() -> None:
    stop, heard = StopRequest(), []
    threads = [threading.Thread(target=lambda: heard.append(stop.wait(30.0)), daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(5.0)
        assert not thread.is_alive(), "long before its time is up"
    assert heard == [True] * 5
    assert stop.wait(30.0)


def test_who_is_not_asked_goes_on() -> None:
    stop = StopRequest()
    assert not stop.wait(0.001)
    assert not stop.wait(-1.0)
    assert not stop.is_set()
