"""Who may do what: every cell of the matrix, the routes read from the application itself; and what the service refuses to start with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.service.authorization import (
    CREDENTIALS,
    DECLARED,
    HOSTS,
    ORIGINS,
    REMOVED,
    TOKENS,
    Cell,
    guarded_service,
    loopback_service,
    routes_of,
    wrong_cells,
)
from tests.service.live_service import Live, live_service, token_file
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tailwag.errors import InputError
from tailwag.service.auth import Role, TokenFile, access_of, needs
from tailwag.service.settings import ServeSettings, checked_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auth")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Live]:
    with guarded_service(folder) as running:
        yield running


@pytest.fixture(scope="module")
def loopback(folder: Path) -> Iterator[Live]:
    with loopback_service(folder) as running:
        yield running


def test_every_route_of_the_application_is_declared_and_no_other(guarded: Live) -> None:
    found = routes_of(guarded.app)
    assert set(found) == set(DECLARED)
    for key, endpoint in found.items():
        access = access_of(endpoint)
        assert access is not None, f"{key} declares no role"
        assert access.role is DECLARED[key], key


def test_a_route_without_a_declared_role_is_nobody_s(tmp_path: Path) -> None:
    with live_service(tmp_path, first=1) as live:

        async def forgotten() -> dict[str, str]:
            return {"secret": "yes"}

        live.app.add_api_route("/api/v1/forgotten", forgotten)
        answer = httpx.get(f"{live.address}/api/v1/forgotten", verify=False)
        assert answer.status_code == 403
        assert "secret" not in answer.json()
        assert ("GET", "/api/v1/forgotten") not in DECLARED


def few_cells() -> Iterator[Cell]:
    """Every route by every credential from its own page; every origin at every host on one route of each kind."""
    for method, path in DECLARED:
        for credential in CREDENTIALS:
            yield method, path, credential, "own", "own"
    for method, path in (("GET", "/healthz"), ("GET", "/api/v1/sources"), ("POST", "/api/v1/whatif"), ("WEBSOCKET", "/api/v1/stream")):
        for origin in ORIGINS:
            for host in HOSTS:
                yield method, path, "admin", origin, host


@pytest.mark.parametrize("place", ["guarded", "loopback"])
def test_the_cells_of_the_matrix(request: pytest.FixtureRequest, place: str) -> None:
    cells = tuple(few_cells())
    assert wrong_cells(request.getfixturevalue(place), cells, open_reading=place == "loopback") == []
    assert len(cells) > 200


def test_the_stream_takes_a_token_among_its_subprotocols_as_browsers_must(guarded: Live) -> None:
    address = f"ws://127.0.0.1:{guarded.port}/api/v1/stream"
    with connect(address, subprotocols=["tailwag.v1", f"bearer.{TOKENS['viewer']}"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "tailwag.v1"
        assert '"type":"measure"' in socket.recv(timeout=10.0)
    for protocols in (["tailwag.v1"], ["tailwag.v1", "bearer.wrong"], [f"token.{TOKENS['viewer']}"]):
        with pytest.raises(InvalidStatus) as refused, connect(address, subprotocols=protocols):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 401


def test_a_removed_token_stops_at_once(tmp_path: Path) -> None:
    now = [0.0]
    path = token_file(tmp_path, f"viewer:{REMOVED}", f"admin:{TOKENS['admin']}")
    tokens = TokenFile(str(path), monotonic=lambda: now[0])
    assert tokens.role_of(REMOVED) is Role.VIEWER
    token_file(tmp_path, f"admin:{TOKENS['admin']}")
    now[0] = 1.5
    assert tokens.role_of(REMOVED) is None
    assert tokens.role_of(TOKENS["admin"]) is Role.ADMIN
    path.chmod(0o644)
    now[0] = 3.0
    assert tokens.role_of(TOKENS["admin"]) is None, "a file that others can read lets nobody in"


@pytest.mark.parametrize(
    ("lines", "mode", "words"),
    [
        ((f"viewer:{REMOVED}",), 0o644, "mode 0644"),
        ((f"viewer:{REMOVED}",), 0o640, "mode 0640"),
        ((), 0o600, "holds no token"),
        (("viewer",), 0o600, "line 1: expected role:token"),
        (("root:abcdefghijklmnop",), 0o600, "viewer, operator or admin"),
        (("viewer:short",), 0o600, "16 or more"),
        ((f"viewer:{REMOVED}", f"admin:{REMOVED}"), 0o600, "stands there already"),
        (("viewer:" + "x" * 70_000,), 0o600, "more than"),
    ],
)
def test_a_token_file_that_is_not_safe_is_refused(tmp_path: Path, lines: tuple[str, ...], mode: int, words: str) -> None:
    path = token_file(tmp_path, *lines, mode=mode)
    with pytest.raises(InputError, match=words) as refused:
        TokenFile(str(path))
    assert REMOVED not in str(refused.value)


def test_a_token_file_that_is_a_link_or_a_folder_or_gone_is_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path, f"viewer:{REMOVED}")
    link = tmp_path / "link"
    os.symlink(path, link)
    for bad in (link, tmp_path, tmp_path / "gone"):
        with pytest.raises(InputError):
            TokenFile(str(bad))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ServeSettings(host="0.0.0.0"), "tokens are needed"),
        (ServeSettings(host="0.0.0.0", token_file="t"), "in the clear"),
        (ServeSettings(host="0.0.0.0", token_file="t", behind_tls=True), "--public-host"),
        (ServeSettings(host="192.0.2.7", behind_tls=True), "tokens are needed"),
        (ServeSettings(host="::"), "tokens are needed"),
        (ServeSettings(host="desk.example.com", token_file="t"), "in the clear"),
        (ServeSettings(certificate="a.pem"), "belong together"),
        (ServeSettings(certificate="a.pem", key="b.pem"), "expected a PEM file"),
        (ServeSettings(host="a b"), "expected a host name"),
        (ServeSettings(port=70_000), "--port expects"),
    ],
)
def test_an_open_door_is_refused_before_anything_starts(settings: ServeSettings, words: str) -> None:
    with pytest.raises(InputError, match=words):
        checked_settings(settings)


@pytest.mark.parametrize(
    "settings",
    [
        ServeSettings(),
        ServeSettings(host="::1"),
        ServeSettings(host="localhost"),
        ServeSettings(host="127.0.0.2"),
        ServeSettings(host="192.0.2.7", token_file="t", behind_tls=True),
        ServeSettings(host="0.0.0.0", token_file="t", behind_tls=True, public_hosts=("desk.example.com",)),
    ],
)
def test_a_closed_door_is_not(settings: ServeSettings) -> None:
    assert checked_settings(settings) is settings


def test_many_wrong_tokens_are_slowed_down(tmp_path: Path) -> None:
    path = token_file(tmp_path, f"viewer:{REMOVED}")
    with (
        live_service(tmp_path / "store", tokens=TokenFile(str(path)), first=1) as live,
        httpx.Client(verify=False, base_url=live.address) as client,
    ):
        wrong = {"authorization": "Bearer wrong-token-0123456789"}
        statuses = [client.get("/api/v1/sources", headers=wrong).status_code for _ in range(100)]
        assert statuses[0] == 401
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= 25
        assert REMOVED not in live.log.getvalue()


def test_declaring_keeps_the_function() -> None:
    @needs(Role.ADMIN, changes=True)
    def change() -> int:
        return 4

    assert change() == 4
    found = access_of(change)
    assert found is not None
    assert (found.role, found.changes) == (Role.ADMIN, True)


def test_changing_needs_a_token_even_on_loopback_where_one_is_set(tmp_path: Path) -> None:
    from tailwag.service.auth import Access, refusal

    tokens = TokenFile(str(token_file(tmp_path, f"viewer:{REMOVED}", f"operator:{TOKENS['operator']}")))
    change = Access(Role.OPERATOR, changes=True)

    def status(token: str | None, *, kept: TokenFile | None = tokens) -> int | None:
        found = refusal(change, token, kept, open_reading=True)
        return None if found is None else found.status

    assert status(None) == 401
    assert status(REMOVED) == 403
    assert status(TOKENS["operator"]) is None
    assert status(None, kept=None) is None
