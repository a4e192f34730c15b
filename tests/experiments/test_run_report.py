"""The report, the card and the plot of a run: what they say is what the run measured, and nothing is loaded, executed or raised."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.cli.command import tailwag
from tests.experiments.scenario_texts import BASE, changed, saved, with_options
from tests.experiments.test_report import Page

from tailwag.experiments.run_examples import run_examples
from tailwag.experiments.run_report import run_report_html, write_run_report
from tailwag.experiments.run_report_card import run_card
from tailwag.experiments.run_report_tables import parts_table
from tailwag.experiments.run_report_view import run_answer, strongest_pin
from tailwag.experiments.run_terminal import print_run
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import Simulated, simulate_file
from tailwag.sim.dynamics import Merton
from tailwag.sim.first_paths import first_paths
from tailwag.sim.run import default_metric_plan, simulate
from tailwag.sim.run_figures import histogram_for
from tailwag.sim.state import Outcome
from tailwag.sim.watched import watched_strikes

AGED = with_options(
    '{right = "call", strike_usd = 60000, days = 0.125, contracts = -4000, iv = 0.6, settlement = "average-30min"}',
    '{right = "put", strike_usd = 59500, days = 0.125, contracts = 1000, iv = 0.6}',
    '{right = "call", strike_usd = 61000, days = 7, contracts = -1000, iv = 0.6}',
)
LATE = (('clearing = "implicit"', 'clearing = "lagged"'), ("delay_steps = 0", "delay_steps = 1"))
TEXTS = {
    "aged": AGED,
    "amplifying": changed(("paths = 64", "paths = 256")),
    "damping": changed(("gamma_usd = -5e9", "gamma_usd = 5e9")),
    "nothing": changed(("gamma_usd = -5e9", "gamma_usd = -1.0")),
    "runaway": changed(*LATE, ("gamma_usd = -5e9", "gamma_usd = -4e10"), ("paths = 64", "paths = 200")),
    "two-desks": BASE + changed(('name = "desk"', 'name = "other desk"'), text=BASE[BASE.index("[[agent]]") :]),
    "no-start": changed(("start = 2026-03-01T00:00:00Z\n", "")),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Simulated]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: simulate_file(load_scenario(saved(folder, text, f"{name}.toml"))) for name, text in TEXTS.items()}


def hostile(document: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(document)
    name = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>"
    for agent in (*found["metrics"]["agents"], *found["assumptions"]["agents"]):
        agent["name"] = name
    for agent in (*found["pnl"], *found["events"]):
        agent["agent"] = name
    found["assumptions"]["notes"] = [name, f"{name} hold the book of {name}"]
    found["assumptions"]["clearing"] = name
    found["scenario"]["files"] = {name: name}
    return found


@pytest.fixture(scope="module")
def pages(runs: dict[str, Simulated]) -> dict[str, str]:
    found = {name: run_report_html(done.document, run_examples(done.run)) for name, done in runs.items()}
    return {**found, "hostile": run_report_html(hostile(runs["aged"].document)), "empty": run_report_html({})}


@pytest.fixture(scope="module")
def parsed(pages: dict[str, str]) -> dict[str, Page]:
    return {name: Page(page) for name, page in pages.items()}


class TestPage:
    @pytest.mark.parametrize("name", [*TEXTS, "hostile", "empty"])
    def test_one_whole_file_that_loads_nothing_and_runs_only_its_own(
        self, pages: dict[str, str], parsed: dict[str, Page], name: str
    ) -> None:
        page = parsed[name]
        assert page.open == []
        assert len(pages[name]) < 6_000_000
        for tag, attributes in page.tags:
            assert tag not in {"link", "iframe", "object", "embed", "base", "img", "form"}
            assert not {"src", "href", "srcset", "action", "data", "poster", "background"} & set(attributes)
            assert not [key for key in attributes if key.startswith("on")]
        policy = next(
            str(attributes["content"]) for _, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        scripts = [body for attributes, body in page.scripts if attributes.get("type") != "application/json"]
        assert len(scripts) == 2
        for body in scripts:
            assert f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy
        style = "".join(re.findall(r"<style>(.*?)</style>", pages[name], re.DOTALL))
        assert "url(" not in style
        assert "@import" not in style

    @pytest.mark.parametrize("name", [*TEXTS, "hostile", "empty"])
    def test_every_drawing_is_strict_json_with_a_place(self, parsed: dict[str, Page], name: str) -> None:
        page = parsed[name]
        places = [attributes["id"] for _, attributes in page.tags if attributes.get("class") == "figure"]
        drawings = {str(attributes["id"]): body for attributes, body in page.scripts if str(attributes.get("id")).startswith("data-")}
        assert {f"data-{place}" for place in places} == set(drawings)
        assert len(places) == len(set(places)) >= 6
        for body in drawings.values():
            json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} in a drawing"))

    @pytest.mark.parametrize("name", list(TEXTS))
    def test_no_number_is_nan_and_no_object_shows(self, parsed: dict[str, Page], name: str) -> None:
        text = parsed[name].text
        assert not re.search(r"\b(nan|inf|None)\b|[{}]", text), re.search(r".{30}(\b(nan|inf|None)\b|[{}]).{30}", text)

    def test_the_same_run_gives_the_same_bytes(self, runs: dict[str, Simulated], pages: dict[str, str], tmp_path: Any) -> None:
        write_run_report(runs["aged"].run, runs["aged"].document, tmp_path / "report.html")
        assert (tmp_path / "report.html").read_text(encoding="utf-8") == pages["aged"]

    def test_every_number_of_a_table_is_there(self, runs: dict[str, Simulated], parsed: dict[str, Page]) -> None:
        document, text = runs["aged"].document, parsed["aged"].text
        for agent in document["pnl"]:
            assert text.count(agent["agent"]) >= 4
        for row in document["metrics"]["pins"]:
            assert f"${row['strike_usd']:,.0f}" in text
        for row in document["outcomes"]:
            assert row["outcome"].replace("_", " ") in text
        assert document["scenario"]["sha256"] in text
        assert "settlement average" in text
        assert "1 Mar 03:00 UTC" in text


class TestAnswers:
    def test_amplifying(self, runs: dict[str, Simulated]) -> None:
        done = runs["amplifying"]
        first, ratio = run_answer(done.document), done.run.metrics.amplification
        assert ratio.value is not None
        found = re.fullmatch(
            r"Hedging adds ([\d.]+)(?: ± [\d.]+)? % to realised vol: ([\d.]+) % a year instead of ([\d.]+) %\.", first.headline
        )
        assert found
        assert float(found[1]) == pytest.approx(100 * (ratio.value - 1), rel=1e-3)
        # a constant dollar gamma under implicit clearing: 1/(1 - g), g = 3e-11 * 5e9
        assert float(found[1]) == pytest.approx(100 * (1 / (1 - 0.15) - 1), abs=0.2)
        assert float(found[2]) / float(found[3]) == pytest.approx(1 / 0.85, rel=0.01)
        assert (first.regime, first.regime_name) == ("amplifying", "Amplifying")
        assert "if $50.0m moved the price 1 % instead of $333m" in dict(first.answers)["When does it run away?"][1]

    def test_damping_takes_off(self, runs: dict[str, Simulated]) -> None:
        first = run_answer(runs["damping"].document)
        assert first.headline.startswith("Hedging takes 13.0")
        assert first.regime == "damping"

    def test_what_errors_hide_is_said_as_none(self, runs: dict[str, Simulated]) -> None:
        first = run_answer(runs["nothing"].document)
        assert "not distinguishable from none" in first.headline
        assert first.regime_name == "No difference"
        noisy = copy.deepcopy(runs["damping"].document)
        noisy["metrics"]["amplification"] = {"value": 1.0003, "standard_error": 0.001}
        assert run_answer(noisy).headline == "Hedging adds 0.03 ± 0.10 % to realised vol: not distinguishable from none."
        noisy["metrics"]["amplification"] = {"value": 1.0003, "standard_error": 0.0001}
        assert run_answer(noisy).headline.startswith("Hedging adds 0.030 ± 0.010 % to realised vol: ")
        assert "not distinguishable from none" in str(runs["nothing"].run.metrics)

    def test_a_pin_is_told_only_beyond_three_errors(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["aged"].document)
        pin = strongest_pin(document)
        pin["excess"].update(value=0.029, standard_error=0.01)
        for other in document["metrics"]["pins"]:
            if other is not pin:
                other["excess"].update(value=0.0, standard_error=0.0)
        assert dict(run_answer(document).answers)["Where does price pin?"][0].startswith("Nowhere that this run can tell")
        pin["excess"].update(value=0.031)
        said = dict(run_answer(document).answers)["Where does price pin?"]
        assert "more often" in said[0]
        assert "(difference +3.1 ± 1.0 points" in said[0]
        pin["excess"].update(value=-0.031)
        assert "less often" in dict(run_answer(document).answers)["Where does price pin?"][0]

    def test_where_nothing_expires_no_strike_is_watched(self, runs: dict[str, Simulated]) -> None:
        assert dict(run_answer(runs["amplifying"].document).answers)["Where does price pin?"] == (
            "No option expires inside the run, so no strike is watched.",
        )

    def test_runaways_are_the_answer_where_they_are_many(self, runs: dict[str, Simulated]) -> None:
        done = runs["runaway"]
        count, first = done.run.outcomes["runaway"], run_answer(done.document)
        assert 0.05 * done.run.paths < count
        assert first.regime == "runaway"
        assert f"{count} of 200 paths ran away" in dict(first.answers)["When does it run away?"][0]

    def test_no_runaway_gives_a_bound(self, runs: dict[str, Simulated]) -> None:
        said = dict(run_answer(runs["amplifying"].document).answers)["When does it run away?"][0]
        # Wilson: z^2/(n + z^2) with n = 256
        assert said == "On none of 256 paths. So the share of paths that run away is below 1.5 %, with 95 % confidence."

    def test_an_account_without_costs_says_why(self, runs: dict[str, Simulated]) -> None:
        said = dict(run_answer(runs["amplifying"].document).answers)["Who earns and pays what?"][0]
        assert "pays no spread or fee, because none is stated" in said

    def test_synthetic_and_undetermined_are_labels(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["aged"].document)
        assert not run_answer(document).synthetic
        document["assumptions"]["notes"] = ["m.json: SYNTHETIC demo data, no real quote in it", "the sign of the book is undetermined"]
        text = Page(run_report_html(document).split("</header>")[0].split("<main>")[1] + "</header>").text
        assert "SYNTHETIC market" in text
        assert "Nobody knows who is short." in text

    def test_unknown_start(self, runs: dict[str, Simulated], pages: dict[str, str]) -> None:
        assert run_answer(runs["no-start"].document).title == "The next 6 h, spot $60,000"
        assert "The scenario states no start" in pages["no-start"]


class TestSource:
    """Labels come from the source block and from the split, not from words."""

    def test_currency_rule_law_and_labels_of_a_source(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["amplifying"].document)
        document["source"] |= {"currency": "ETH", "synthetic": True, "rule": "short-all", "depth_law": "square-root"}
        first = run_answer(document)
        assert first.title.startswith("ETH: the next 6 h from 1 Mar")
        assert first.synthetic
        assert dict(first.assumptions)["who is short"] == "short-all"
        assert dict(first.assumptions)["depth"] == "$333m per 1 % (the square-root law), all of it stays"

    def test_survivors_are_not_the_market(self, runs: dict[str, Simulated]) -> None:
        done = runs["runaway"]
        first, found = run_answer(done.document), done.run.metrics
        assert found.amplification_conditional
        everybody = f"nobody hedging shows {100 * found.fundamental_vol_all_paths.value:.1f} % over all paths."
        assert first.headline.startswith("Of paths that reached the horizon")
        assert first.headline.endswith(everybody)
        assert f"{100 * found.fundamental_vol_all_paths.value:.1f} % on all paths with nobody hedging" in first.tiles[0].detail
        text = io.StringIO()
        print_run(done.document, file=text)
        assert "Vol a year by horizon of the return, paths that reached the horizon" in text.getvalue()
        assert found.realised_vol.fundamental.value != pytest.approx(found.fundamental_vol_all_paths.value, rel=1e-3)

    @pytest.mark.parametrize("split", ["steps", "ends"])
    def test_parts_are_called_what_they_are(self, runs: dict[str, Simulated], split: str) -> None:
        document = copy.deepcopy(runs["aged"].document)
        document["pnl_split"] = split
        for agent in document["pnl"]:
            if split == "ends":
                agent["parts_usd"]["residual_usd"] = {"value": 0.0, "standard_error": 0.0}
        text = io.StringIO()
        print_run(document, file=text)
        for said in (text.getvalue(), Page(run_report_html(document)).text):
            assert "own impact, on paper" in said
            assert "execution +" not in said
            assert ("gamma, theta and all else" in said) == (split == "ends")
        rows = parts_table(document)
        assert ("residual" in rows) == (split == "steps")
        assert ("residual" in text.getvalue()) == (split == "steps")
        drawn = replace(runs["aged"].run, pnl_split=split).plot()
        assert any("own impact, on paper" in (drawn.layout[f"yaxis{place}"].ticktext or ()) for place in (2, 3, 4))

    def test_a_residual_is_never_hidden(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["aged"].document)
        document["pnl_split"] = "ends"
        document["pnl"][0]["parts_usd"]["residual_usd"] = {"value": 5.0, "standard_error": 0.1}
        assert "residual" in parts_table(document)

    def test_the_terminal_names_depth_law_and_both_gains(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["amplifying"].document)
        document["source"] |= {"depth_law": "square-root"}
        document["assumptions"]["starting_gain_with_vanna"] = 0.2
        text = io.StringIO()
        print_run(document, file=text)
        said = " ".join(text.getvalue().split())
        assert "depth $333.3m per 1 % (the square-root law), loop gain +0.150 at the start (+0.200 with vanna)" in said

    def test_a_matched_vol_comes_first(self, runs: dict[str, Simulated]) -> None:
        document = copy.deepcopy(runs["amplifying"].document)
        document["calibration"] = {"hours": document["metrics"]["hours"], "observed_vol": 0.6}
        first, second, *_ = dict(run_answer(document).answers)["How much vol do hedgers add?"]
        assert first.startswith("Over 6 h, the returns whose observed vol of 60.00 % was matched, vol is ")
        assert second.startswith("Hedging adds")


class TestExamples:
    def test_the_first_paths_are_those_of_the_run(self, runs: dict[str, Simulated]) -> None:
        for name in ("aged", "runaway"):
            run = runs[name].run
            block = first_paths(run)
            kept = simulate(run.scenario, paths=run.paths, seed=run.seed, keep_paths=True).kept
            assert kept is not None
            assert np.array_equal(block.log_price, kept.log_price)
            assert np.array_equal(block.fundamental_log, kept.fundamental_log)
            assert int((block.outcome == int(Outcome.RUNAWAY)).sum()) == run.outcomes["runaway"]

    def test_stopped_paths_in_order(self, runs: dict[str, Simulated]) -> None:
        run = runs["runaway"].run
        found, block = run_examples(run), first_paths(run)
        assert found is not None
        stopped = np.flatnonzero(block.outcome)[:6]
        assert found.endings == ("runaway",) * len(stopped)
        assert found.price_usd.shape == found.fundamental_usd.shape == (len(stopped), len(found.hours))
        for place, path in enumerate(stopped):
            step = block.stopped_step[path]
            assert found.stopped_hours[place] == pytest.approx(step * 0.25)
            at = int(np.argmin(np.abs(found.hours - found.stopped_hours[place])))
            assert found.hours[at] == pytest.approx(step * 0.25)
            assert found.price_usd[place, at] == 60_000 * np.exp(block.log_price[path, step])

    def test_price_at_the_expiry(self, runs: dict[str, Simulated]) -> None:
        run = runs["aged"].run
        found, block = run_examples(run), first_paths(run)
        assert found is not None
        (expiry,) = found.expiries
        assert (expiry.hours, expiry.strikes_usd) == (pytest.approx(3.0), (59_500.0, 60_000.0))
        prices = 60_000 * np.exp(block.log_price[:, 12])
        inside = (prices >= expiry.edges_usd[0]) & (prices <= expiry.edges_usd[-1])
        assert expiry.hedged_share.sum() == pytest.approx(inside.mean())
        above = expiry.edges_usd[:-1] >= 60_000
        assert expiry.hedged_share[above].sum() == pytest.approx(((prices >= expiry.edges_usd[:-1][above][0]) & inside).mean())

    def test_nothing_to_see_runs_nothing(self, runs: dict[str, Simulated]) -> None:
        assert run_examples(runs["amplifying"].run) is None

    @pytest.mark.parametrize(("paths", "most"), [(1, 4), (100, 17), (1_000, 40), (100_000, 120)])
    def test_coarser_bins_keep_every_path(self, paths: int, most: int) -> None:
        shares = np.random.default_rng(3).dirichlet(np.ones(120))
        edges, coarse = histogram_for(np.linspace(1, 2, 121).tolist(), shares.tolist(), paths=paths)
        assert len(coarse) == len(edges) - 1 <= most
        assert coarse.sum() == pytest.approx(1.0)
        assert (edges[0], edges[-1]) == (1.0, 2.0)
        assert coarse[0] == pytest.approx(shares[: round((edges[1] - 1) * 120)].sum())


class TestWatched:
    def test_the_largest_strikes_of_each_expiry_within_reach(self, tmp_path: Any) -> None:
        rows = [(50_000 + 250 * k, 0.05, (-1) ** k * (10 + 7 * k % 13)) for k in range(81)] + [(60_000, 0.2, 5), (60_500, 9.0, 99)]
        rows += [(60_000.0, 0.05, 40)]
        options = [f'{{right = "call", strike_usd = {k}, days = {d}, contracts = {c}, iv = 0.6}}' for k, d, c in rows]
        scenario = load_scenario(saved(tmp_path, with_options(*options))).scenario
        held: dict[float, dict[float, float]] = {}
        for strike, days, contracts in rows:
            reach = 3 * 0.6 * (days / 365) ** 0.5
            if days < 0.25 and abs(np.log(strike / 60_000)) <= reach:
                held.setdefault(days, {}).setdefault(strike, 0.0)
                held[days][strike] += abs(contracts)
        expected = []
        for days in sorted(held):
            largest = sorted(held[days], key=lambda strike: (-held[days][strike], strike))[:5]
            expected += [(strike, days) for strike in sorted(largest)]
        found = watched_strikes(scenario)
        assert [pin.strike_usd for pin in found] == [strike for strike, _ in expected]
        assert [pin.step for pin in found] == [int(days * 96) for _, days in expected]
        for pin, (_, days) in zip(found, expected, strict=True):
            assert pin.half_width_bps == pytest.approx(1e4 * 0.02 * 0.6 * (days / 365) ** 0.5)

    def test_the_plan_of_any_run_watches_them_and_knows_the_hour(self, tmp_path: Any) -> None:
        text = changed(("2026-03-01T00:00:00Z", "2026-03-01T09:30:00Z"), text=AGED)
        scenario = load_scenario(saved(tmp_path, text)).scenario
        plan = default_metric_plan(scenario)
        assert plan.pins == watched_strikes(scenario)
        assert plan.start_hour == pytest.approx(9.5)
        hours = {row.hour_utc for row in simulate(scenario, paths=4, seed=1).metrics.flow_by_hour}
        assert hours == {9, 10, 11, 12, 13, 14, 15}

    def test_a_few_crashes_do_not_stretch_the_final_price(self, tmp_path: Any) -> None:
        """One path in a hundred falls by half; the bins stay with the others and lose no more than it."""
        calm = load_scenario(saved(tmp_path, changed(("gamma_usd = -5e9", "gamma_usd = -1.0")))).scenario
        crash = replace(calm, price=Merton(vol=0.6, jumps_per_year=15.0, jump_mean=-0.6, jump_std=0.01))
        found = [simulate(each, paths=2_000, seed=3).metrics.final_price for each in (calm, crash)]
        widths = [each.edges_usd[-1] - each.edges_usd[0] for each in found]
        assert widths[1] < 1.6 * widths[0]
        for each, least in zip(found, (0.995, 0.98), strict=True):
            assert least < sum(each.hedged_share) <= 1.0 + 1e-12
        assert sum(found[1].hedged_share) < 0.998


class TestPictures:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_four_panels_from_python(self, runs: dict[str, Simulated], theme: Any) -> None:
        for name in ("aged", "two-desks", "runaway"):
            figure = runs[name].run.plot(theme=theme)
            assert {trace.xaxis for trace in figure.data} == {"x", "x2", "x3", "x4"}
            domains = [figure.layout[f"xaxis{place}"].domain for place in ("", 2, 3, 4)]
            assert domains[0][1] < domains[1][0]
            assert domains[2][1] < domains[3][0]
            titles = [note.text for note in figure.layout.annotations if str(note.text).startswith("<b>")]
            assert titles == [
                "<b>Where price may go</b>", "<b>Vol by horizon</b>", "<b>Where price ends</b>", "<b>Who earns and pays what</b>",
            ]  # fmt: skip
            assert not any(note.xref == "paper" for note in figure.layout.annotations if note.text not in titles)

    def test_a_panel_holds_the_numbers_of_the_run(self, runs: dict[str, Simulated]) -> None:
        run = runs["aged"].run
        figure = run.plot()
        vols = [trace for trace in figure.data if trace.xaxis == "x2"]
        assert vols[0].y.tolist() == [100 * row.vol.hedged.value for row in run.metrics.horizons]
        strikes = {shape.x0 for shape in figure.layout.shapes if shape.xref == "x3"}
        assert {59_500.0, 60_000.0} <= strikes

    @pytest.mark.parametrize(
        ("name", "theme"), [("aged", "light"), ("runaway", "dark"), ("two-desks", "light"), ("hostile", "dark"), ("empty", "light")]
    )
    def test_card(self, runs: dict[str, Simulated], name: str, theme: Any) -> None:
        from PIL import Image

        document = {} if name == "empty" else hostile(runs["aged"].document) if name == "hostile" else runs[name].document
        picture = Image.open(io.BytesIO(run_card(document, theme=theme)))
        assert picture.size == (1200, 675)
        shades = np.asarray(picture.convert("L"))
        # something is drawn on every third of the card
        assert all(part.std() > 1.0 for part in np.array_split(shades, 3))


class TestCommand:
    def test_html_and_png(self, tmp_path: Any) -> None:
        source = saved(tmp_path, AGED)
        words = ("--out", tmp_path / "run", "--html", tmp_path / "r.html", "--png", tmp_path / "r.png", "--json", "-")
        outcome = tailwag("simulate", source, *words)
        assert outcome.code == 0, outcome.err
        assert outcome.document["schema"] == "tailwag.run/1"
        assert run_answer(outcome.document).headline in Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
        assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"

    @pytest.mark.parametrize("option", ["--html", "--png"])
    def test_a_file_that_cannot_be_is_refused_before_anything_runs(self, tmp_path: Any, option: str) -> None:
        outcome = tailwag("simulate", saved(tmp_path, AGED), "--out", tmp_path / "run", option, tmp_path / "no" / "r")
        assert outcome.code == 2
        assert f"{option} expects a file in a folder that exists" in outcome.err
        assert not (tmp_path / "run").exists()
