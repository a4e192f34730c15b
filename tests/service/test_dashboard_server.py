"""The server of the page's tests leaves nothing behind: a connection on which nobody asked would fail whichever test comes next."""

from __future__ import annotations

import gc
import socket
import time

from tests.experiments.sample_document import sample_document
from tests.service.dashboard_server import DashboardServer


def test_it_ends_at_once_beside_connections_on_which_nobody_asks() -> None:
    for pause_s in (0.0, 0.0002, 0.001, 0.005, 0.02):
        with DashboardServer(sample_document(), past_steps=0) as server:
            idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
            time.sleep(pause_s)
            began = time.perf_counter()
        assert time.perf_counter() - began < 5.0  # the library waits ten seconds for a question
        for one in idle:
            one.close()
    del server
    gc.collect()  # what is left open is reported here, in the test that left it
