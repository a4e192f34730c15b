"""A desk to be killed: goes on where its journal says, one alert a document, and says on stdout what was decided.

``alerts_child.py FOLDER URL DOCUMENTS``; the parent kills it whenever it likes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.service.alerts_world import at_ns, measured
from tests.service.test_alerts_desk import settings

from tailwag.service.alerts import AlertDesk, Channel, Courier
from tailwag.service.alerts.delivery import check_address

MINUTE_NS = 60 * 10**9


def main(folder: str, url: str, documents: int) -> None:
    channel = Channel("hook", url=url)
    check_address(url, channel="hook")  # loads the notifier: kills must fall into the sending, not into imports
    chosen = settings(
        channel, attempts=1000, backoff_seconds=0.02, longest_backoff_seconds=0.1, timeout_seconds=5.0, history=100_000, queue_limit=100_000
    )
    with AlertDesk(folder, chosen) as desk, Courier(desk, clock=time.time_ns) as courier:
        print("ready", flush=True)
        seen_ns = desk.state.memory("BTC").as_of_ns
        step = 0 if seen_ns == 0 else (seen_ns - at_ns(0)) // MINUTE_NS + 1
        while step < documents:
            for alert in desk.observe({"BTC": measured(step, gain=0.6 if step % 2 == 0 else 0.1)}, at_ns=at_ns(step)):
                print(f"{step} {alert.phase} {alert.id}", flush=True)
            courier.wake()
            time.sleep(0.004)
            step += 1
        while desk.waiting("hook"):
            time.sleep(0.005)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
