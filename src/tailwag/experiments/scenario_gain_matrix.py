"""The gain matrix of several assets as one document: measured by bumping each, predicted from the books, and what it does to vol and correlation."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.run_document import versions
from tailwag.experiments.scenario_assets import AssetFile
from tailwag.experiments.scenario_gain import PASSES, RESOLUTION
from tailwag.feedback.assets import MatrixGain, matrix_gain
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.assets import simulate_assets
from tailwag.sim.gain_matrix import MeasuredMatrix, measure_gain_matrix

SCHEMA = "tailwag.gain-matrix/1"
BUMP_PATHS = 64
Document = dict[str, Any]


def gain_matrix_document(file: AssetFile, *, paths: int, seed: int, size_log: float) -> Document:
    """Measured and predicted gain matrix, each dealer's part of the largest eigenvalue, and the run (schema ``tailwag.gain-matrix/1``)."""
    scenario = file.scenario
    predicted = matrix_gain(
        scenario.impact_per_usd, sum((one.hedged_gamma_usd for one in scenario.dealers), np.zeros_like(scenario.impact_per_usd))
    )
    measured = measure_gain_matrix(scenario, paths=min(paths, BUMP_PATHS), seed=seed, size_log=size_log)
    run = simulate_assets(scenario, paths=paths, seed=seed)
    distance = float((np.abs(measured.gain - predicted.gain) / np.hypot(measured.error, RESOLUTION)).max())
    agents = _agents(file, measured, predicted)
    total = {"measured": {"value": measured.spectral_radius, "standard_error": None}, "predicted": predicted.spectral_radius, "z": distance}
    return {
        "schema": SCHEMA,
        "headline": list(_headline(file, measured, predicted, run.to_document(), distance)),
        "scenario": {
            "name": file.name,
            "sha256": file.sha256,
            "sentence": file.sentence,
            "question": file.question,
            "sources": list(file.sources),
        },
        "paths": paths,
        "seed": seed,
        "versions": versions(),
        "bump": {"size_log": size_log, "noise_log": 0.0, "steps": measured.steps},
        "assets": list(scenario.assets),
        "gain": {"measured": measured.gain.tolist(), "standard_error": measured.error.tolist(), "predicted": predicted.gain.tolist()},
        "total": total,
        "spectral_radius_between": measured.spectral_radius_between,
        "amplification_norm": predicted.amplification_norm,
        "gain_by_agent": agents,
        "run": run.to_document(),
    }


def _agents(file: AssetFile, measured: MeasuredMatrix, predicted: MatrixGain) -> list[Document]:
    """Each dealer's matrix, and its part of the eigenvalue of largest real part: w' G_i v / w' v with both eigenvectors, which sum to it."""
    left, right = _eigenvectors(predicted.gain)
    rows = []
    for dealer, found in zip(file.scenario.dealers, measured.dealers):
        own = -(file.scenario.impact_per_usd @ dealer.hedged_gamma_usd)
        parts = [float(np.real(left @ part @ right / (left @ right))) for part in (own, found.gain)]
        rows.append(
            {
                "name": dealer.name,
                "predicted_response_usd": (-dealer.hedged_gamma_usd).tolist(),
                "measured_response_usd": found.response_usd.tolist(),
                "gain": {"predicted": parts[0], "measured": {"value": parts[1], "standard_error": None}},
            }
        )
    return rows


def _eigenvectors(gain: FloatArray) -> tuple[Any, Any]:
    values, right = np.linalg.eig(gain)
    place = int(values.real.argmax())
    others, left = np.linalg.eig(gain.T)
    return left[:, int(np.abs(others - values[place]).argmin())], right[:, place]


def _headline(file: AssetFile, measured: MeasuredMatrix, predicted: MatrixGain, run: Document, distance: float) -> list[str]:
    names = " and ".join(file.scenario.assets)
    verdict = "agrees with" if distance < PASSES else "does NOT agree with"
    lines = [
        f"{file.name}: bumping {names} one after another measures a gain matrix of spectral radius {measured.spectral_radius:.4f}; "
        f"it {verdict} the one that the books predict ({predicted.spectral_radius:.4f})"
    ]
    before, after = (np.sqrt(np.diagonal(np.asarray(run[which]["per_year"]))) for which in ("unhedged", "step"))
    lines.append(
        "Vol a year without and with hedging: "
        + ", ".join(f"{name} {100 * a:.1f} % -> {100 * b:.1f} %" for name, a, b in zip(file.scenario.assets, before, after))
    )
    if len(file.scenario.assets) == 2:
        first, second = (np.asarray(run[which]["correlation"])[0, 1] for which in ("unhedged", "step"))
        lines.append(f"Their correlation is {first:.3f} without hedging and {second:.3f} with it")
    return lines


def print_gain_matrix(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a gain matrix, measured and predicted, and each dealer's part of its largest eigenvalue."""
    names, gain = document["assets"], document["gain"]
    rows = [
        [name, *(f"{measured:+.4f} ({predicted:+.4f})" for measured, predicted in zip(*both))]
        for name, *both in zip(names, gain["measured"], gain["predicted"])
    ]
    parts = [
        [row["name"], f"{row['gain']['predicted']:+.4f}", f"{row['gain']['measured']['value']:+.4f}"] for row in document["gain_by_agent"]
    ]
    tables = (
        small_table("Gain measured (predicted): log move of the row that answers a unit move of the column", ["", *names], rows),
        small_table("Parts of the largest eigenvalue", ["agent", "predicted", "measured"], parts),
    )
    notes = [
        document["scenario"]["sentence"],
        document["scenario"]["question"],
        *(f"{one['figure']}: {one['said']}" for one in document["scenario"]["sources"]),
    ]
    print_answer(document["headline"], filter(None, notes), filter(None, tables), file=file)
