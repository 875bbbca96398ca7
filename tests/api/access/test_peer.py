"""Who is on this machine: nothing that a client writes makes it so."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.peer import is_local, is_local_peer, is_loopback

HERE = ("127.0.0.1", 4711)
SOCKET = {"client": None, "server": ("/run/arcpoint.sock", None)}


def scope(host: str = "localhost:8080", client: Any = HERE, **headers: str) -> dict[str, Any]:
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    return {"type": "http", "client": client, "server": ("127.0.0.1", 8080), "headers": raw}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"])
def test_a_program_here_that_means_this_machine_is_local(host: str) -> None:
    """By its address, and by the name under which it calls us."""
    assert is_local(scope(host))
    assert is_local(scope(host, client=("::1", 4711)))
    assert is_local(scope("arcpoint") | SOCKET)


@pytest.mark.parametrize(
    "host",
    ["", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "10.0.0.1"],
)
def test_a_page_whose_name_leads_here_is_not(host: str) -> None:
    """DNS rebinding: its requests come from this machine and name another."""
    assert is_local_peer(scope(host))
    assert not is_local(scope(host))


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_for", "x_forwarded_host", "x_real_ip", "via"])
def test_no_header_makes_anyone_local(header: str) -> None:
    """What a proxy forwards is not from here, whatever address it says, through the socket neither."""
    headers: dict[str, str] = {header: "127.0.0.1"}
    for request in (scope(**headers), scope(**headers) | SOCKET):
        assert not is_local(request)
        assert not is_local_peer(request)
    assert not is_local(scope(client=("203.0.113.9", 1), **headers))


def test_other_addresses_are_not_loopback() -> None:
    """Nor is what names every address, nor a peer of whom nothing is known."""
    others = ["0.0.0.0", "::", "", "192.168.0.1", "localhost", "nonsense"]  # noqa: S104  not bound
    assert [is_loopback(each) for each in others] == [False] * len(others)
    assert not is_local(scope(client=None))
    assert not is_local(scope(client=None) | {"server": None})
