"""Sweeps: the same bytes in any order and anywhere, resumable, strict about grids, and right about the loop's closed forms."""

from __future__ import annotations

import io
import itertools
import json
import math
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.experiments.scenario_texts import measurement
from tests.experiments.sweep_texts import GRID, saved_grid

from tailwag.errors import InputError, MissingPackageError, TailwagError
from tailwag.experiments import sweep_maps
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.sweep import Sweep, fingerprint, run_sweep, tasks_of
from tailwag.experiments.sweep_axes import read_axes
from tailwag.experiments.sweep_card import sweep_card
from tailwag.experiments.sweep_document import figures_of
from tailwag.experiments.sweep_grid import load_grid
from tailwag.experiments.sweep_maps import Dask, Processes, here
from tailwag.experiments.sweep_page import sweep_html
from tailwag.experiments.sweep_slice import Asked, sliced
from tailwag.experiments.sweep_task import code_versions, run_task

AXIS = '"agent.desk.delay_steps" = [1, 2]'


def table(sweep: Sweep) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(sweep.table))


def everything(sweep: Sweep) -> bytes:
    return sweep.table + strict_json(sweep.document)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    grid = load_grid(saved_grid(folder))
    return grid, run_sweep(grid, folder / "out")


# The table


def test_rows_stand_in_grid_order_and_say_what_ran(small):
    grid, sweep = small
    found = table(sweep)
    wanted = list(itertools.product([-0.5, 0.5], [1, 2], [7, 8]))
    assert list(zip(found["gain"], found["agent.desk.delay_steps"], found["seed"], strict=True)) == wanted
    assert found["point"].to_list() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found["agent.desk.delay_steps"].dtype == pl.Int64
    assert found["task"].to_list() == [task.key for task in tasks_of(grid).values()]
    assert found["starting_gain"].to_list() == pytest.approx(found["gain"].to_list(), rel=1e-12)
    assert found["refused"].null_count() == 8
    counts = found.select("finished_paths", "runaway_paths", "depth_exhausted_paths", "halted_paths").sum_horizontal()
    assert counts.to_list() == found["paths"].to_list() == [16] * 8


def test_a_row_is_what_simulate_says_of_that_scenario(small, tmp_path):
    from tailwag.experiments.scenario_files import load_scenario
    from tailwag.experiments.simulate import simulate_file

    text = GRID.partition("[scenario.run]")[2].replace("scenario.", "").replace("seed = 7", "seed = 8")
    text = text.replace("gamma_usd = 0", "gamma_usd = -5e9").replace("delay_steps = 1", "delay_steps = 2")
    (tmp_path / "one.toml").write_text(f"[run]{text}")
    run = simulate_file(load_scenario(tmp_path / "one.toml")).run
    row = table(small[1]).row(7, named=True)
    assert (row["gain"], row["agent.desk.delay_steps"], row["seed"]) == (0.5, 2, 8)
    assert row["amplification"] == run.metrics.amplification.value
    assert row["amplification_se"] == run.metrics.amplification.standard_error
    assert row["realised_vol"] == run.metrics.realised_vol.hedged.value
    assert row["desk.pnl_usd"] == run.metrics.agents[0].pnl_usd.value


def test_the_parquet_has_checksums_on_its_pages_and_notices_a_flipped_bit(small):
    import pyarrow.parquet as pq

    data = bytearray(small[1].table)
    assert pq.read_table(io.BytesIO(data), page_checksum_verification=True).num_rows == 8
    chunk = pq.read_metadata(io.BytesIO(data)).row_group(0).column(1)
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(io.BytesIO(data), page_checksum_verification=True)


def test_seeds_of_a_point_are_taken_together(small):
    point, rows = small[1].document["points"][3], table(small[1]).filter(pl.col("point") == 3)
    figure = point["figures"]["amplification"]
    assert figure["value"] == pytest.approx(rows["amplification"].mean(), rel=1e-14)
    assert figure["standard_error"] == pytest.approx(math.sqrt((rows["amplification_se"] ** 2).sum()) / 2, rel=1e-14)
    assert point["paths"] == 32
    assert point["figures"]["runaway_probability"]["total"] == 32
    assert tuple(point["figures"]) == figures_of(small[0])


# The same bytes


@pytest.mark.parametrize("order", [-1, 3])
def test_the_order_in_which_tasks_are_done_changes_no_bit(small, tmp_path, order):
    def shuffled(tasks, files):
        done = list(here(tasks, files))
        yield from (done[::-1] if order == -1 else sorted(done, key=lambda one: (one[0] * order) % len(done)))

    assert everything(run_sweep(small[0], tmp_path, run=shuffled)) == everything(small[1])


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_number_of_workers_changes_no_bit(small, tmp_path, workers):
    assert everything(run_sweep(small[0], tmp_path, run=Processes(workers))) == everything(small[1])


def test_a_sweep_that_stops_goes_on_from_what_is_done(small, tmp_path):
    grid, whole = small
    ran: list[str] = []

    def stops(tasks, files):
        for place, task in enumerate(tasks):
            if len(ran) == 3:
                raise KeyboardInterrupt
            ran.append(task.key)
            yield place, run_task(task, files)

    def counted(tasks, files):
        ran.extend(task.key for task in tasks)
        yield from here(tasks, files)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(grid, tmp_path, run=stops)
    again = run_sweep(grid, tmp_path, run=counted)
    assert everything(again) == everything(whole)
    assert len(ran) == len(set(ran)) == 8
    run_sweep(grid, tmp_path, run=counted)
    assert len(ran) == 8


@pytest.mark.parametrize("damage", [b"", b"{", b'{"task": "x", "sha256": "y", "result": {}}'])
def test_a_damaged_result_is_run_again(small, tmp_path, damage):
    grid, whole = small
    run_sweep(grid, tmp_path)
    first = next(iter(tasks_of(grid).values())).key
    (tmp_path / "tasks" / f"{first}.json").write_bytes(damage)
    assert everything(run_sweep(grid, tmp_path)) == everything(whole)


def test_a_result_that_was_edited_is_not_believed(small, tmp_path):
    grid, whole = small
    run_sweep(grid, tmp_path)
    path = next(path for path in (tmp_path / "tasks").glob("*.json") if path.name != "sweep.json")
    kept = json.loads(path.read_bytes())
    kept["result"]["numbers"]["amplification"] += 1.0
    path.write_text(json.dumps(kept))
    assert everything(run_sweep(grid, tmp_path)) == everything(whole)


def test_nothing_half_written_is_left(small, tmp_path):
    (tmp_path / "tasks").mkdir()
    run_sweep(small[0], tmp_path)
    (tmp_path / "tasks" / ".abc.json.x1").write_bytes(b"half")
    run_sweep(small[0], tmp_path)
    assert sorted(path.suffix for path in (tmp_path / "tasks").iterdir()) == ["", *[".json"] * 9]


def test_the_key_of_a_task_is_its_content(small):
    tasks = list(tasks_of(small[0]).values())
    assert len({task.key for task in tasks}) == 8
    task = tasks[0]
    others = [
        replace(task, seed=9),
        replace(task, text=task.text + "#"),
        replace(task, files=(("a", "b"),)),
        replace(task, versions=(("tailwag", "0"),)),
    ]
    assert len({task.key, *(other.key for other in others)}) == 5


def test_comments_and_order_of_tables_change_no_key(small, tmp_path):
    price = '[scenario.price]\nmodel = "gbm"\nspot_usd = 60000\nvol = 0.6\n'
    moved = load_grid(
        saved_grid(tmp_path, (price, ""), ("seeds = 2", "seeds = 2 # two"), ("delay_steps = 1\n", f"delay_steps = 1\n{price}"))
    )
    assert fingerprint(moved) == fingerprint(small[0])


def test_a_worker_of_other_code_is_refused(small):
    task = replace(next(iter(tasks_of(small[0]).values())), versions=(("tailwag", "0"),))
    with pytest.raises(TailwagError, match="install the same packages everywhere"):
        run_task(task, {})


def test_the_code_of_what_computes_is_in_the_versions(monkeypatch):
    from tailwag.experiments import sweep_task

    before = dict(code_versions())["source"]
    read = sweep_task._sources
    monkeypatch.setattr(sweep_task, "_sources", lambda *where: [(name, data + b" ") for name, data in read(*where)])
    assert sweep_task._source_digest() != before


# Another sweep in the folder


def test_a_folder_of_another_sweep_is_refused(small, tmp_path):
    run_sweep(small[0], tmp_path / "out")
    other = load_grid(saved_grid(tmp_path, ("seeds = 2", "seeds = 1")))
    with pytest.raises(InputError, match=r"another sweep .*name another folder"):
        run_sweep(other, tmp_path / "out")


def test_files_of_something_else_are_not_overwritten(small, tmp_path):
    (tmp_path / "sweep.json").write_text("mine")
    with pytest.raises(InputError, match=r"holds sweep\.json of something else"):
        run_sweep(small[0], tmp_path)
    assert (tmp_path / "sweep.json").read_text() == "mine"


def test_two_sweeps_at_once_in_one_folder_are_refused(small, tmp_path):
    pytest.importorskip("fcntl")

    def meanwhile(tasks, files):
        with pytest.raises(InputError, match="in use by a sweep that still runs"):
            run_sweep(small[0], tmp_path)
        yield from here(tasks, files)

    run_sweep(small[0], tmp_path, run=meanwhile)


# Dask


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        silence_logs=50,
    ) as running:
        yield running


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes_with_files_it_cannot_see(cluster, tmp_path):
    (tmp_path / "book.json").write_text(json.dumps(measurement()))
    book = ("gamma_usd = 0\niv = 0.6", 'book = "book.json"')
    start = ('clearing = "lagged"', 'clearing = "lagged"\nstart = 2026-03-01T00:00:00Z')
    grid = load_grid(saved_grid(tmp_path, ("gain = [-0.5, 0.5]", '"price.vol" = [0.4, 0.6]'), ("seeds = 2", "seeds = 3"), start, book))
    assert list(grid.files) == ["book.json"]
    (tmp_path / "book.json").unlink()  # the workers have it from us
    here_ = run_sweep(grid, tmp_path / "here")
    there = run_sweep(grid, tmp_path / "there", run=Dask(cluster.scheduler_address))
    assert everything(there) == everything(here_)
    assert any("desk" in row.result["agents"] for row in there.rows)


def test_a_scheduler_that_is_not_there(small, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_maps, "CONNECT_SECONDS", 0.2)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(InputError, match="--scheduler: no Dask scheduler answers"):
            run_sweep(small[0], tmp_path / "out", run=Dask(address))


def test_without_the_package_the_extra_is_named(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"tailwag\[cluster\]"):
        run_sweep(small[0], tmp_path, run=Dask("tcp://127.0.0.1:8786"))


def test_a_worker_that_dies_is_said_and_what_is_done_stays(small, tmp_path, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    def broken(pool, tasks, ahead):
        yield 0, run_task(tasks[0], {})
        raise BrokenProcessPool

    monkeypatch.setattr(sweep_maps, "_handed_out", broken)
    with pytest.raises(TailwagError, match="goes on from what is done"):
        run_sweep(small[0], tmp_path, run=Processes(2))
    assert len(list((tmp_path / "tasks").glob("*.json"))) == 2


# Axes


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("{from = 0.2, to = 1, points = 5}", (0.2, 0.4, 0.6, 0.8, 1.0)),
        ("{from = 0.1, to = 10, points = 3, scale = 'log'}", (0.1, 1.0, 10.0)),
        ("{from = 0.6, to = 0.2, points = 3}", (0.6, 0.4, 0.2)),
    ],
)
def test_ranges(tmp_path, given, values):
    grid = load_grid(saved_grid(tmp_path, (AXIS, f"price.vol = {given}"), ("gain = [-0.5, 0.5]\n", ""), ("seeds = 2", "seeds = 1")))
    assert grid.axes[0].values == pytest.approx(values, rel=1e-12)
    assert grid.axes[0].values[-1] == values[-1]


def test_a_range_of_whole_numbers_is_whole_and_one_over_zero_has_a_zero():
    base = {"agent": [{"name": "d", "delay_steps": 1}], "vol": {"spot_vol_beta": 0.0}}
    grid = {"agent.d.delay_steps": {"from": 1, "to": 9, "points": 5}, "vol.spot_vol_beta": {"from": -0.9, "to": 1.2, "points": 8}}
    delays, betas = read_axes(grid, base)
    assert delays.values == (1, 3, 5, 7, 9)
    assert all(isinstance(value, int) for value in delays.values)
    assert betas.values[3] == 0.0


def test_axes_of_policies_texts_and_truths(tmp_path):
    axes = '"agent.desk.policy" = [{kind = "every-step"}, "grid:60min"]\n"agent.desk.after_expiry" = ["unwind", "hold"]\nvol.couple_price_vol = [true, false]'
    vol = ("[scenario.impact]", "[scenario.vol]\ncouple_price_vol = false\n[scenario.impact]")
    agent = ("delay_steps = 1\n", 'delay_steps = 1\nafter_expiry = "unwind"\n')
    try:
        grid = load_grid(
            saved_grid(tmp_path, (AXIS, axes), ("gain = [-0.5, 0.5]\n", ""), vol, agent, ("gamma_usd = 0", "gamma_usd = -1e9"))
        )
    except InputError as error:  # the scenario may refuse such a coupling; the axes were read
        pytest.fail(str(error))
    sweep = run_sweep(grid, tmp_path / "out")
    found = table(sweep)
    assert found["agent.desk.policy"].unique(maintain_order=True).to_list() == ['{kind = "every-step"}', "grid:60min"]
    assert found["vol.couple_price_vol"].dtype == pl.Boolean
    assert found.height == 16
    sweep_html(sweep.document, sliced(sweep.document, Asked(x="agent.desk.policy", y="agent.desk.after_expiry")))


def test_the_gain_of_one_dealer_among_several_follows_the_other_axes(tmp_path):
    second = (
        '\n[[scenario.agent]]\nkind = "dealer"\nname = "fund"\ngamma_usd = 0\nhedge_share = 0.5\npolicy = "every-step"\ndelay_steps = 1\n'
    )
    path = saved_grid(
        tmp_path, ("gain = [-0.5, 0.5]", 'gain = {agent = "fund", values = [0.25]}'), (AXIS, '"impact.permanent_per_usd" = [1e-10, 2e-10]')
    )
    path.write_text(path.read_text() + second)
    sweep = run_sweep(load_grid(path), tmp_path / "out")
    assert [row.number("starting_gain") for row in sweep.rows] == pytest.approx([0.25] * 4, rel=1e-12)
    path.write_text(path.read_text().replace('{agent = "fund", values = [0.25]}', "[0.25]"))
    with pytest.raises(InputError, match="expected gain to name one dealer"):
        load_grid(path)


def test_a_base_in_a_file_is_read_beside_the_grid(small, tmp_path):
    head, _, scenario = GRID.partition("[scenario.run]")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "base.toml").write_text("[run]" + scenario.replace("scenario.", ""))
    (tmp_path / "grid.toml").write_text('base = "below/base.toml"\n' + head)
    assert fingerprint(load_grid(tmp_path / "grid.toml")) == fingerprint(small[0])


# Refusals

LAGGED = ('clearing = "lagged"', 'clearing = "implicit"')


@pytest.mark.parametrize(
    ("swaps", "said"),
    [
        ([("seeds = 2", "seed = 2")], "unknown key 'seed' \\(did you mean seeds"),
        ([("seeds = 2", "seeds = 0")], "expected seeds from 1"),
        ([("seeds = 2", "seeds = []")], "expected seeds as a list of different"),
        ([("seeds = 2", "seeds = [7, 7]")], "expected seeds as a list of different"),
        ([("seeds = 2", "seeds = [-1]")], "expected seeds\\[0\\] from 0"),
        ([("seeds = 2", 'seeds = "two"')], "expected seeds as a number"),
        ([("seeds = 2", 'refused = "ignore"')], "expected refused as one of refuse, record"),
        ([("seeds = 2", 'base = "x.toml"')], "expected one of base, scenario"),
        ([("[grid]\ngain = [-0.5, 0.5]\n" + AXIS, "")], "\\[grid\\]: expected one axis at least"),
        ([("[grid]\ngain = [-0.5, 0.5]\n" + AXIS, "grid = 3")], "\\[grid\\]: expected a table of axes"),
        ([(AXIS, '"agent.desk.delay_step" = [1]')], "did you mean agent.desk.delay_steps"),
        ([(AXIS, '"agent.dealer.delay_steps" = [1]')], "is nowhere in the base scenario"),
        ([(AXIS, '"impact.transient_per_usd" = [1e-11]')], "is nowhere in the base scenario"),
        ([(AXIS, '"run.seed" = [1, 2]')], "run.seed is no axis; state seeds"),
        ([(AXIS, '"output.paths" = [true]')], "output.paths is no axis"),
        ([(AXIS, '"price" = [1]')], "is nowhere in the base scenario"),
        ([(AXIS, '"agent.desk.delay_steps" = []')], "has no values"),
        ([(AXIS, '"agent.desk.delay_steps" = 1')], "as a list of values"),
        ([(AXIS, '"agent.desk.delay_steps" = ["1"]')], "expected agent.desk.delay_steps as a number, as in the base"),
        ([(AXIS, '"agent.desk.delay_steps" = [true]')], "expected agent.desk.delay_steps as a number, as in the base"),
        ([(AXIS, '"agent.desk.delay_steps" = [1, 1]')], "names 1 twice"),
        ([(AXIS, '"agent.desk.delay_steps" = [1.5]')], "whole number"),
        ([(AXIS, '"agent.desk.delay_steps" = [0]')], "4 points cannot run|2 of 2 points cannot run.*lagged clearing wants delay_steps >= 1"),
        ([(AXIS, '"price.vol" = [inf]')], "expected price.vol as a finite number"),
        ([(AXIS, '"price.vol" = [60]')], "expected vol as a decimal.*, got 60"),
        ([(AXIS, '"price.vol" = {from = 0.2, points = 3}')], "to is missing"),
        ([(AXIS, '"price.vol" = {from = 0.2, to = 0.2, points = 3}')], "got 0.2 twice"),
        ([(AXIS, '"price.vol" = {from = 0.2, to = 0.4, points = 1}')], "expected points from 2"),
        ([(AXIS, '"price.vol" = {from = 0, to = 0.4, points = 3, scale = "log"}')], "a log scale needs both ends above 0"),
        ([(AXIS, '"price.vol" = {from = 0.2, to = 0.4, points = 3, scale = "square"}')], "expected scale as one of linear, log"),
        ([(AXIS, '"price.vol" = {from = 0.2, to = 0.4, step = 0.1}')], "unknown key 'step'"),
        ([(AXIS, '"price.vol" = {from = 0.2, to = 0.4, points = 9999}')], "at most 10,000 points and 100,000 runs, got 19,998"),
        ([("seeds = 2", "seeds = 99999")], "at most 10,000 points and 100,000 runs"),
        ([(AXIS, '"agent.desk.gamma_usd" = [1e9]')], "gain and agent.desk.gamma_usd set the same number"),
        ([(AXIS, '"agent.desk.policy" = [{kind = "band", half_width_usd = 1e6}]\n"agent.desk.policy.kind" = ["none"]')], "set the same number"),
        ([("gain = [-0.5, 0.5]", 'gain = {agent = "fund", values = [1]}')], "expected agent as one of desk"),
        ([("gain = [-0.5, 0.5]", 'gain = ["0.5"]')], "expected gain as a number"),
        ([("gamma_usd = 0\niv = 0.6", 'options = [{right = "call", strike_usd = 1, days = 1, contracts = 1, iv = 0.6}]')], "expected gain to name one dealer"),
        ([("permanent_per_usd = 1e-10", "permanent_per_usd = 0")], "needs impact and a hedged share above 0"),
        ([("paths = 16", "paths = 16\n[scenario.output]\npaths = true\n[scenario.costs]\nfee_bps = 1")], "a sweep keeps none|unknown key"),
        ([("vol = 0.6", "vol = 0.6\nvolatility = 1")], "unknown key 'volatility'"),
        ([("[grid]", "[grid]]")], "expected TOML"),
        ([LAGGED, ("gain = [-0.5, 0.5]", "gain = [0.5, 1.5]")], "2 of 4 points cannot run, the first \\(gain = 1.5, agent.desk.delay_steps = 1\\): expected a loop gain below 1"),
    ],
)  # fmt: skip
def test_bad_grids_are_refused_in_a_sentence(tmp_path, swaps, said):
    with pytest.raises(InputError, match=said) as refused:
        load_grid(saved_grid(tmp_path, *swaps))
    assert str(refused.value).startswith("grid.toml: ")
    assert "\n" not in str(refused.value)
    assert ";" in str(refused.value)


@pytest.mark.parametrize("base", ["../base.toml", "/etc/passwd", "", "none.toml", "grid.toml"])
def test_bases_that_cannot_be(tmp_path, base):
    head = GRID.partition("[scenario.run]")[0]
    (tmp_path / "grid.toml").write_text(f'base = "{base}"\n' + head)
    with pytest.raises(InputError):
        load_grid(tmp_path / "grid.toml")


# Points that cannot run


def test_refused_points_are_recorded_where_the_grid_says_so(tmp_path):
    swaps = [("seeds = 2", 'seeds = 2\nrefused = "record"'), LAGGED, ("gain = [-0.5, 0.5]", "gain = [0.5, 1.5]")]
    sweep = run_sweep(load_grid(saved_grid(tmp_path, *swaps)), tmp_path / "out")
    found = table(sweep)
    assert found["refused"].is_null().to_list() == [True] * 4 + [False] * 4
    assert "loop gain below 1" in found["refused"][4]
    assert found["amplification"].is_null().to_list() == [False] * 4 + [True] * 4
    assert found["paths"].to_list() == [16] * 4 + [None] * 4
    assert "2 of 4 points are refused, the first at gain = 1.5" in sweep.document["headline"][-1]
    cells = sliced(sweep.document, Asked())
    assert cells.refused == ((False, True), (False, True))
    page = sweep_html(sweep.document, cells)
    assert ">refused<" in page
    assert sweep_card(sweep.document, cells)[:4] == b"\x89PNG"


def test_a_grid_of_refused_points_only_is_refused_all_the_same(tmp_path):
    swaps = [("seeds = 2", 'refused = "record"'), LAGGED, ("gain = [-0.5, 0.5]", "gain = [1.5]")]
    with pytest.raises(InputError, match=r"2 of 2 points cannot run.*mend the base"):
        load_grid(saved_grid(tmp_path, *swaps))


OBSERVED = [("vol = 0.6", 'vol = 0.6\nvol_is = "observed"'), ("gain = [-0.5, 0.5]", "gain = [0.5, 3.0]"), (AXIS, '"run.paths" = [16]')]


def test_what_shows_only_while_running_is_refused_or_recorded_too(tmp_path):
    """A market that runs away on every path has no fundamental vol that shows the observed one; the scenario alone does not tell."""
    grid = load_grid(saved_grid(tmp_path, *OBSERVED))
    with pytest.raises(InputError, match=r"point \(gain = 3, run.paths = 16\), seed 7: .*refused = .record."):
        run_sweep(grid, tmp_path / "out")
    grid = load_grid(saved_grid(tmp_path, *OBSERVED, ("seeds = 2", 'seeds = 2\nrefused = "record"')))
    found = table(run_sweep(grid, tmp_path / "recorded"))
    assert found["refused"].is_null().to_list() == [True, True, False, False]


# Closed forms of the phase diagram


def amplification(gain: float, delay: int, steps: int) -> float:
    """r_t = e_t + g r_(t-d) from rest: mean over steps of sum of g^2k, k up to (t - 1)//d, in roots; 1/sqrt(1 - g^2) in the long run."""
    return math.sqrt(math.fsum((1.0 - gain ** (2 * ((t - 1) // delay + 1))) / (1.0 - gain**2) for t in range(1, steps + 1)) / steps)


PHASE = [
    ("gain = [-0.5, 0.5]", "gain = [-0.8, -0.4, 0, 0.45, 0.75, 1.3, -1.4]"),
    (AXIS, '"agent.desk.delay_steps" = [1, 3]'),
    ("horizon_days = 0.25", "horizon_days = 1.5"),
    ("paths = 16", "paths = 400"),
    ("vol = 0.6", "vol = 0.35"),
]


def phase(folder: Path, *more: tuple[str, str]) -> Sweep:
    return run_sweep(load_grid(saved_grid(folder, *PHASE, *more)), folder / "out")


@pytest.fixture(scope="module")
def diagram(tmp_path_factory):
    return phase(tmp_path_factory.mktemp("phase"))


def z_scores(sweep: Sweep, *, factor: float = 1.0) -> list[tuple[float, float]]:
    """(z, SE relative to theory) of every point whose gain is below 1 in size; ``factor`` breaks the theory on purpose."""
    found = []
    for point in sweep.document["points"]:
        gain, delay = point["settings"]["gain"], point["settings"]["agent.desk.delay_steps"]
        figure = point["figures"]["amplification"]
        if 0.0 < abs(gain) < 1.0:
            theory = amplification(factor * gain, delay, 144)
            found.append(((figure["value"] - theory) / figure["standard_error"], figure["standard_error"] / theory))
    return found


def test_amplification_over_gain_and_latency_is_the_closed_form(diagram):
    scores = z_scores(diagram)
    assert len(scores) == 8
    for z, power in scores:
        assert abs(z) < 4.0
        assert power <= 0.01


def test_a_gain_a_tenth_off_would_be_seen(diagram):
    assert max(abs(z) for z, _ in z_scores(diagram, factor=1.1)) > 4.0


def test_the_finite_sum_becomes_the_stationary_law():
    assert amplification(0.75, 3, 100_000) == pytest.approx(1.0 / math.sqrt(1.0 - 0.75**2), rel=1e-4)


def test_without_gain_hedging_changes_nothing(diagram):
    for point in diagram.document["points"]:
        if point["settings"]["gain"] == 0.0:
            assert point["figures"]["amplification"]["value"] == 1.0


def test_every_path_runs_away_above_one_and_none_well_below(diagram):
    for point in diagram.document["points"]:
        share = point["figures"]["runaway_probability"]["value"]
        assert share == (1.0 if abs(point["settings"]["gain"]) > 1.0 else 0.0), point["settings"]
        assert (point["figures"]["amplification"]["value"] is None) == (share == 1.0)
        if share == 1.0:
            assert point["figures"]["amplification"]["reason"] == "no path reached the horizon"


# Pictures


def test_the_picture_shows_the_gain_across_and_runaway_in_words(diagram):
    cells = sliced(diagram.document, Asked())
    assert (cells.x, cells.y) == ("gain", "agent.desk.delay_steps")
    assert cells.values[1][4] == diagram.document["points"][9]["figures"]["amplification"]["value"]
    assert cells.ran_away(0, 5)
    page, card = sweep_html(diagram.document, cells), sweep_card(diagram.document, cells)
    assert "100 % \\u003cbr\\u003erun away" in page.replace("100 %\\u003cbr", "100 % \\u003cbr")
    assert page == sweep_html(diagram.document, cells)
    assert card == sweep_card(diagram.document, cells)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(value="runaway_probability"),
        Asked(value="desk.pnl_usd"),
        Asked(x="agent.desk.delay_steps"),
        Asked(x="agent.desk.delay_steps", where=("gain=0.45",)),
        Asked(where=("agent.desk.delay_steps = 3",)),
        Asked(where=("gain=1.3",)),
        Asked(value="fundamental_vol"),
    ],
)
def test_every_picture_can_be_drawn_without_a_warning(diagram, asked):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells = sliced(diagram.document, asked)
        assert sweep_html(diagram.document, cells).startswith("<!doctype html>")
        assert sweep_card(diagram.document, cells)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(x="gains"), "--x expects one of gain, .*did you mean gain"),
        (Asked(y="nothing"), "--y expects one of"),
        (Asked(value="amplificatoin"), "--value expects one of .*did you mean amplification"),
        (Asked(x="gain", y="gain"), "--x and --y both name gain"),
        (Asked(where=("gain",)), "--where expects AXIS=VALUE"),
        (Asked(where=("gain=0.46",)), "--where: gain takes -0.8, "),
        (Asked(where=("gain=0", "gain=0")), "--where names gain twice"),
        (Asked(x="gain", where=("gain=0",)), "--x and --where both name gain"),
        (Asked(where=("gain=0", "agent.desk.delay_steps=1")), "leave no axis for --x"),
    ],
)
def test_pictures_that_cannot_be(diagram, asked, said):
    with pytest.raises(InputError, match=said):
        sliced(diagram.document, asked)
