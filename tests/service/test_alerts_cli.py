"""``tailwag alerts test | check`` as typed: outcomes, exit status, one sentence for wrong input, no address anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.service.alerts_world import Webhook, iso, measured

from tailwag.cli import main

SECRET = "T0KENxSECRET"


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def saved(folder: Path, name: str, text: str | dict[str, object]) -> str:
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    os.chmod(path, 0o600)
    return str(path)


def test_a_test_alert_arrives_and_the_exit_status_says_whether_all_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Webhook() as good, Webhook((500, 0.0)) as bad:
        text = f"[[channel]]\nname = 'good'\nurl = '{good.url}/{SECRET}'\n"
        settings = saved(tmp_path, "alerts.toml", text)
        assert run(["alerts", "test", "--settings", settings], capsys) == (0, "good: taken\n", "")
        settings = saved(tmp_path, "alerts.toml", f"{text}[[channel]]\nname = 'bad'\nurl = '{bad.url}/{SECRET}'\n")
        code, out, err = run(["alerts", "test", "--settings", settings, "--json", "-"], capsys)
        assert code == 1
        assert json.loads(out)["channels"] == [
            {"channel": "good", "taken": True, "reason": None},
            {"channel": "bad", "taken": False, "reason": "the other side answered 500"},
        ]
        assert SECRET not in out + err
        assert run(["alerts", "test", "--settings", settings, "--channel", "good"], capsys)[0] == 0
    assert [item["title"] for item in good.received] == ["tailwag: test alert"] * 3
    assert len(set(good.keys)) == 3


def test_check_says_what_fires_what_is_on_what_is_unknown_and_what_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = saved(tmp_path, "before.json", measured(0, gain=0.6))
    now = saved(tmp_path, "now.json", measured(5, gain=0.62, flips=[99_500.0], spot=None))
    code, out, _ = run(["alerts", "check", now, before], capsys)
    assert code == 0
    assert "ON       warning  BTC/gain: Loop gain is +0.62" in out
    assert "BTC/flip stays off: spot is unknown" in out
    assert "QUIET" in out
    assert out.rstrip().endswith("OFF               vol")
    code, out, _ = run(["alerts", "check", now, "--json", "-", "--at", iso(60)], capsys)
    document = json.loads(out)
    assert (document["schema"], [alert["key"] for alert in document["alerts"]]) == ("tailwag.alerts-check/1", ["BTC/stale"])


def test_check_judges_two_coins_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = saved(tmp_path, "alerts.toml", "[rules.vol]\nusual_volpt = 30\n[[channel]]\nname = 'a'\nurl_env = 'NOT_SET_ANYWHERE'\n")
    btc = saved(tmp_path, "btc.json", measured(0))
    eth = saved(tmp_path, "eth.json", measured(0, currency="ETH"))
    code, out, _ = run(["alerts", "check", btc, "--other", eth, "--settings", settings], capsys)
    assert code == 0
    assert "RAISED   warning  BTC-ETH/vol: 14-day implied vol of ETH" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["alerts", "ring"], "expected tailwag alerts test or tailwag alerts check"),
        (["alerts", "test"], "expected --settings FILE"),
        (["alerts", "test", "x.json", "--settings", "alerts.toml"], "takes no files"),
        (["alerts", "test", "--settings", "empty.toml"], "at least one [[channel]]"),
        (["alerts", "test", "--settings", "alerts.toml", "--channel", "b"], "expected --channel as one of a"),
        (["alerts", "test", "--settings", "missing.toml"], "missing.toml"),
        (["alerts", "check"], "expected MEASURE.json"),
        (["alerts", "check", "now.json", "--channel", "a"], "takes no --channel"),
        (["alerts", "check", "other.json"], "schema tailwag.measure/1"),
        (["alerts", "check", "now.json", "eth.json"], "expected PREVIOUS.json of BTC"),
        (["alerts", "check", "now.json", "--at", "yesterday"], "expected a time"),
        (["alerts", "check", "untimed.json"], "with a currency and a time"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "alerts.toml", "[[channel]]\nname = 'a'\nurl_env = 'NOT_SET_ANYWHERE'\n")
    saved(tmp_path, "empty.toml", "")
    saved(tmp_path, "now.json", measured(0))
    saved(tmp_path, "eth.json", measured(0, currency="ETH"))
    saved(tmp_path, "other.json", {"schema": "tailwag.run/1"})
    saved(tmp_path, "untimed.json", {"schema": "tailwag.measure/1", "currency": "BTC", "as_of": None})
    code, out, err = run(words, capsys)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_the_demo_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = str(tmp_path / "now.json")
    assert run(["measure", "demo", "--json", now], capsys)[0] == 0
    code, out, _ = run(["alerts", "check", now], capsys)
    assert code == 0
    assert "SYNTHETIC demo data: Loop gain is" in out
