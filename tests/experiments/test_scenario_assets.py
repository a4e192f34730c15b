"""Scenario files over several assets: what is read, what is refused, and the contagion that the library's one shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tailwag.cli import main
from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_assets import AssetFile, asset_library_names, open_assets, read_assets
from tailwag.experiments.scenario_gain_matrix import gain_matrix_document
from tailwag.sim.assets import simulate_assets
from tailwag.sources.opening import RawFile

TEXT = """
[run]
horizon_days = 1
step_minutes = 60
paths = 200
seed = 5
clearing = "implicit"
[assets]
names = ["A", "B"]
spot_usd = [100, 10]
vol = [0.5, 0.8]
correlation = 0.6
impact_per_usd = [[2e-10, 1e-10], [1e-10, 6e-10]]
[[dealer]]
name = "own"
gamma_usd = [-4e8, 0]
delay_steps = 0
[[dealer]]
name = "proxy"
gamma_usd = [[0, 0], [0, -3e8]]
hedge = {of = "B", in = "A", beta = 0.7}
delay_steps = 0
"""


def read(text: str) -> AssetFile:
    data = text.encode()
    return read_assets(RawFile("mine.toml", data, hashlib.sha256(data).hexdigest()))


def test_a_file_is_read_to_the_letter() -> None:
    file = read(TEXT)
    assert (file.name, file.paths, file.seed, file.sentence) == ("mine", 200, 5, "mine")
    scenario = file.scenario
    assert scenario.assets == ("A", "B")
    assert scenario.covariance == pytest.approx(np.array([[0.25, 0.24], [0.24, 0.64]]))
    own, proxy = scenario.dealers
    assert own.hedged_gamma_usd.tolist() == [[-4e8, 0.0], [0.0, 0.0]]
    assert proxy.hedged_gamma_usd == pytest.approx(np.array([[0.0, -2.1e8], [0.0, 0.0]]))
    least = read(TEXT.replace("beta = 0.7", 'beta = "least-variance"')).scenario.dealers[1]
    assert least.hedged_gamma_usd[0, 1] == pytest.approx(-3e8 * 0.24 / 0.25)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 5", "seeds = 5", "unknown key"),
        ("[assets]", "[asset]", "unknown key"),
        ("vol = [0.5, 0.8]", "vol = [50, 80]", "write 60 % as 0.60"),
        ("correlation = 0.6", "correlation = 1.6", "correlation between -1 and 1"),
        ('names = ["A", "B"]', "names = 3", "list of texts"),
        ("gamma_usd = [-4e8, 0]", 'gamma_usd = "much"', "as numbers"),
        ('of = "B"', 'of = "C"', "of"),
        ('of = "B"', 'of = "A"', "two different assets"),
        ("beta = 0.7", "size = 0.7", "unknown key"),
        ('clearing = "implicit"', 'clearing = "damped"', "clearing"),
        ("-4e8", "-4e10", "eigenvalues"),
        ("[run]", "[run", "expected TOML"),
        ("[run]", "[story]\nsentence = 3\n[run]", "sentence"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=r"mine\.toml") as refused:
        read(TEXT.replace(old, new, 1))
    assert said in str(refused.value)


def test_the_library_shows_contagion_and_its_matrix_is_the_predicted_one() -> None:
    assert asset_library_names() == ("btc-eth-contagion",)
    file = open_assets("btc-eth-contagion")
    assert file is not None
    document = gain_matrix_document(file, paths=256, seed=file.seed, size_log=1e-3)
    gain = {key: np.asarray(value) for key, value in document["gain"].items()}
    assert np.abs(gain["measured"] - gain["predicted"]).max() < 1e-9
    beta = 0.75 * 0.75 / 0.55
    sold = np.array([[-5.7e9, -3e9 * beta], [0.0, -1.5e9]])
    assert gain["predicted"] == pytest.approx(-np.array([[2e-11, 0.8e-11], [0.8e-11, 5e-11]]) @ sold, rel=1e-9)
    parts = [row["gain"]["measured"]["value"] for row in document["gain_by_agent"]]
    assert sum(parts) == pytest.approx(document["total"]["predicted"], abs=1e-9)
    assert document["spectral_radius_between"] == pytest.approx(document["total"]["predicted"], abs=1e-9)
    assert len(file.sources) == 2
    assert json.loads(strict_json(document))["schema"] == "tailwag.gain-matrix/1"
    run = simulate_assets(file.scenario, paths=256, seed=file.seed)
    assert run.step.correlation[0, 1] - run.unhedged.correlation[0, 1] > 0.03


def test_the_command_tells_a_matrix_from_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    with pytest.raises(SystemExit) as ended:
        main(["scenario", "gain", str(path), "--paths", "16"])
    assert not ended.value.code
    out = " ".join(capsys.readouterr().out.split())
    assert "it agrees with the one that the books predict" in out
    assert "Parts of the largest eigenvalue" in out
    assert open_assets("no-such-scenario") is None
