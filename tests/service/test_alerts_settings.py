"""alerts.toml is read strictly: what is unknown, in another unit, or readable by others is refused in one sentence without a secret in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailwag.errors import InputError
from tailwag.service.alerts import default_settings, read_settings, settings_document
from tailwag.service.alerts.settings import LEVELS, settings_from
from tailwag.sources.opening import RawFile

SECRET = "T0KENxSECRET"


def read(text: str) -> object:
    return settings_from(RawFile("alerts.toml", text.encode(), ""))


def test_an_empty_file_is_every_rule_at_its_defaults() -> None:
    settings = settings_from(RawFile("alerts.toml", b"", ""))
    assert settings == default_settings()
    assert [name for name, rule in settings.rules.items() if not rule.enabled] == ["vol"]


def test_every_key_is_taken() -> None:
    settings = settings_from(
        RawFile(
            "alerts.toml",
            b"""
cool_down_minutes = 30
[rules.flip]
on_pct = 2
off_pct = 3
severity = "critical"
cool_down_minutes = 5
tell_cleared = false
[rules.vol]
usual_volpt = 12
tenor_days = 30
[rules.gain]
enabled = false
[rules.expiry]
within_hours = 6
[delivery]
attempts = 3
queue_limit = 50
[note]
enabled = false
[[channel]]
name = "desk"
url_env = "DESK_URL"
least_severity = "warning"
""",
            "",
        )
    )
    flip = settings.rules["flip"]
    assert (flip.on, flip.off, flip.severity, flip.cool_down_ns, flip.tell_cleared) == (2.0, 3.0, "critical", 300 * 10**9, False)
    assert settings.rules["wall"].cool_down_ns == 1800 * 10**9
    assert settings.rules["vol"].enabled
    assert settings.rules["vol"].extra == {"usual_volpt": 12.0, "tenor_days": 30.0}
    assert not settings.rules["gain"].enabled
    assert settings.rules["expiry"].extra == {"within_hours": 6.0}
    assert (settings.delivery.attempts, settings.delivery.queue_limit, settings.note.enabled) == (3, 50, False)
    assert settings.channels[0].address({"DESK_URL": "json://x/y"}) == "json://x/y"
    shown = settings_document(settings)
    assert shown["channels"] == [{"name": "desk", "least_severity": "warning"}]
    assert set(shown["rules"]) == set(LEVELS)


def test_an_on_level_alone_keeps_the_gap_in_proportion() -> None:
    rules = settings_from(RawFile("alerts.toml", b"[rules.gain]\non_gain = 0.25\n[rules.flip]\non_pct = 4", "")).rules
    assert (rules["gain"].on, rules["gain"].off) == (0.25, 0.2)
    assert (rules["flip"].on, rules["flip"].off) == (4.0, 6.0)


REFUSED = [
    ("[rules.flipp]\non_pct = 1", "unknown key 'flipp' (did you mean flip?)"),
    ("[rules.flip]\non = 1", "unknown key 'on'"),
    ("colour = 1", "unknown key 'colour'"),
    ("[rules.flip]\non_pct = 0.01", "1 is 1 %"),
    ("[rules.limit]\non_used_pct = 0.8", "80 is 80 %"),
    ("[rules.vol]\nusual_volpt = 15\non_volpt = 0.05", "vol points, 5 is 5 %"),
    ("[rules.vol]\non_volpt = 5", "usual_volpt is missing"),
    ("[rules.flip]\non_pct = 2\noff_pct = 1", "expected off_pct above on_pct, got 1 and 2"),
    ("[rules.gain]\non_gain = 0.5\noff_gain = 0.5", "expected off_gain below on_gain"),
    ("[rules.gain]\non_gain = '0.5'", "expected on_gain as a number"),
    ("[rules.gain]\non_gain = nan", "finite"),
    ("[rules.gain]\nenabled = 'yes'", "expected enabled as true or false"),
    ("[rules.gain]\nseverity = 'loud'", "expected severity as one of info, warning, critical"),
    ("[rules.stale]\non_seconds = 0.1\noff_seconds = 0.05", "seconds"),
    ("cool_down_minutes = 1e9", "minutes, a day has 1440"),
    ("[delivery]\nattempts = 0", "from 1 to"),
    ("[delivery]\nattempts = 2.5", "whole number"),
    ("[delivery]\nbackoff_seconds = 100\nlongest_backoff_seconds = 5", "longest_backoff_seconds"),
    ("[rules]\ngain = 3", "expected gain as a table"),
    ("[[channel]]\nname = 'a'", "expected one of url, url_env, url_file for a, got none"),
    ("[[channel]]\nname = 'a'\nurl_env = 'A'\nurl_file = 'b'", "got url_env and url_file"),
    ("[[channel]]\nurl_env = 'A'", "name is missing"),
    ("[[channel]]\nname = 'a'\nurl_env = 'A'\n[[channel]]\nname = 'a'\nurl_env = 'B'", "two channels are called a"),
    ("[rules.gain]\non_gain = 1\non_gain = 2", "no TOML"),
    ("[rules.gain", "no TOML"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text)
    assert words in str(refused.value)
    assert str(refused.value).startswith("alerts.toml")
    assert "\n" not in str(refused.value)


LEAKY = [
    f"[[channel]]\nname = 'slack://{SECRET}'\nurl_env = 'A'",
    f"[[channel]]\nname = 'a'\nurl_env = 'slack://{SECRET}'",
    f"channel = 'slack://{SECRET}'",
    f"[channel]\nurl = 'slack://{SECRET}'",
    f"[[channel]]\nname = 'a'\nurl = ['slack://{SECRET}']",
    f"[[channel]]\nname = 'a'\nurl = 'slack://{SECRET}",
    f"[[channel]]\nname = 'a'\nurl = slack://{SECRET}",
    f"[[channel]]\nname = 'a'\nurl = 'slack://{SECRET}'\nurl = 'b'",
]


@pytest.mark.parametrize("text", LEAKY)
def test_a_refusal_never_shows_an_address(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text)
    assert SECRET not in str(refused.value)


def test_an_address_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(f"[[channel]]\nname = 'a'\nurl = 'json://127.0.0.1/{SECRET}'\n")
    os.chmod(path, 0o644)
    with pytest.raises(InputError, match="mode 0644") as refused:
        read_settings(path)
    assert SECRET not in str(refused.value)
    os.chmod(path, 0o600)
    channel = read_settings(path).channels[0]
    assert channel.address().endswith(SECRET)
    assert SECRET not in repr(read_settings(path))


def test_an_address_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret, path = tmp_path / "url", tmp_path / "alerts.toml"
    path.write_text(f"[[channel]]\nname = 'a'\nurl_file = '{secret}'\n")
    channel = read_settings(path).channels[0]
    with pytest.raises(InputError, match="names no file"):
        channel.address()
    secret.write_text(f"json://127.0.0.1/{SECRET}\n")
    os.chmod(secret, 0o640)
    with pytest.raises(InputError, match="mode 0640") as refused:
        channel.address()
    assert SECRET not in str(refused.value)
    os.chmod(secret, 0o600)
    assert channel.address() == f"json://127.0.0.1/{SECRET}"


def test_a_variable_that_is_not_set_is_named() -> None:
    settings = settings_from(RawFile("alerts.toml", b"[[channel]]\nname = 'a'\nurl_env = 'NO_SUCH_URL'\n", ""))
    with pytest.raises(InputError, match="NO_SUCH_URL is not set"):
        settings.channels[0].address({})


def test_the_reference_page_names_every_rule_and_key_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/alerts.md").read_text(encoding="utf-8")
    for name, level in LEVELS.items():
        assert f"`rules.{name}`" in page, name
        for key, value in ((level.on_key, level.on), (level.off_key, level.off)):
            assert f"`{key}` {value:g}" in page, (name, key)
        for key, default, *_ in level.extra:
            assert f"`{key}` {'(required)' if default is None else f'{default:g}'}" in page, (name, key)
