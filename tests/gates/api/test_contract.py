"""G11: a fuzzer that knows the description asks a real ``tailwag serve``, and holds every answer against what the description says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from tests.gates.sizes import gate_seed, gate_size
from tests.service.live_service import serving

SLOWEST_SECONDS, SLOWEST_WHERE_CROWDED_SECONDS = 2.0, 10.0
SETTINGS = """\
# what no schema can say (a sum of weights, a day in February, a field that this market has not) is refused with 422
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "413", "414", "422", "429"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "413", "414", "415", "422", "429", "431"]
"""


def wait_until_measured(address: str) -> None:
    deadline = time.monotonic() + 60.0
    while httpx.get(f"{address}/api/v1/measure/latest", verify=False).status_code != 200:
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.05)


def test_every_answer_is_one_that_the_description_promises(tmp_path: Path) -> None:
    """At full size the fuzzer runs for fifty seconds, of which it reads the description and reports for some."""
    seconds = gate_size(small=3, full=45)
    slowest = SLOWEST_WHERE_CROWDED_SECONDS if os.getloadavg()[0] > (os.cpu_count() or 1) else SLOWEST_SECONDS
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    with serving(tmp_path, "--store", str(tmp_path / "store"), "--every", "30") as service:
        wait_until_measured(service.address)
        words = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml", "--no-color", "run"]
        words += [f"{service.address}/openapi.json", "--url", service.address, "--checks", "all", "--continue-on-failure", "--no-shrink"]
        words += ["--max-response-time", str(slowest), "--seed", str(gate_seed()), "--max-time", str(seconds)]
        words += ["--report", "json", "--report-json-path", "report.json"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=seconds + 60.0, check=False)
        assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
        assert service.stop() == 0
    print(done.stdout[-600:])
    assert "0 selected" not in done.stdout
    said = service.errors.read_text()
    assert "Traceback" not in said
    assert [line for line in map(json.loads, said.splitlines()) if line["event"] == "request failed"] == []
