"""How late may hedgers be? Gain times delay in a few seconds, on all cores: python examples/sweep_gain_latency.py"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tailwag.experiments.sweep import run_sweep
from tailwag.experiments.sweep_grid import load_grid
from tailwag.experiments.sweep_maps import Processes, all_cores
from tailwag.experiments.sweep_slice import Asked, cell_text, sliced


def main() -> None:
    grid = load_grid(Path(__file__).with_suffix(".toml").with_name("gain_latency.toml"))
    with TemporaryDirectory() as folder:
        sweep = run_sweep(grid, folder, run=Processes(all_cores()))
    print("\n".join(sweep.document["headline"]))
    cells = sliced(sweep.document, Asked())
    print(f"\n{'gain':>6}" + "".join(f"{f'{delay} steps late':>18}" for delay in cells.y_values))
    for column, gain in enumerate(cells.x_values):
        print(f"{gain:>6.2g}" + "".join(f"{cell_text(cells, row, column):>18}" for row in range(len(cells.y_values))))


if __name__ == "__main__":  # workers start as fresh interpreters and import this file
    main()
