"""API keys on the command line, and what is not served without them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from api.version import version
from tests.support.command_line import Run


def test_a_key_is_shown_once_and_listed_without_its_secret(arcpoint: Run) -> None:
    """Made, listed, replaced and revoked on the database itself; standard output is the key alone."""
    assert "every program on this machine" in arcpoint("keys", "list").out
    made = arcpoint("keys", "create", "ci", "--role", "viewer", "--user", "user_acme", "--expires", "90d")
    secret = made.out.strip()
    assert (made.code, secret.startswith("arc_"), len(secret.split("_", 2)[2])) == (0, True, 43)
    assert "bound to the user user_acme; keep the key, it is not shown again" in made.err
    prefix = secret[:16]
    rotated = json.loads(arcpoint("keys", "rotate", prefix, "--grace", "1h", "--json").out)
    assert (rotated["user"], rotated["role"], rotated["state"]) == ("user_acme", "viewer", "active")
    assert arcpoint("keys", "revoke", rotated["key"]).out == f"{rotated['prefix']} (ci) is revoked\n"
    assert "is revoked already" in arcpoint("keys", "revoke", rotated["prefix"]).err
    table, listed = arcpoint("keys", "list").out, json.loads(arcpoint("keys", "list", "--json").out)
    assert [(each["prefix"], each["state"]) for each in listed] == [
        (rotated["prefix"], "revoked"),
        (prefix, "active"),
    ]
    for whole in (secret, rotated["key"]):
        assert whole[17:] not in table + json.dumps(listed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "ci"], "role"),
        (["create", "ci", "--role", "root"], "root"),
        (["create", "ci", "--role", "viewer", "--user", "nobody"], "user 'nobody' is not known"),
        (["create", "ci", "--role", "admin", "--user", "user_acme"], "only reads"),
        (["create", "ci", "--role", "viewer", "--expires", "soon"], "give one such as 30m, 24h or 90d"),
        (["revoke", "ci"], "`arcpoint keys list` shows"),
    ],
)
def test_a_key_that_cannot_be_made_or_found_is_refused(
    arcpoint: Run, arguments: list[str], says: str
) -> None:
    """Law 10."""
    refused = arcpoint("keys", *arguments)
    assert (refused.code, refused.out, says in refused.err) == (2, "", True), refused.err
    assert json.loads(arcpoint("keys", "list", "--json").out) == []


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  refused
@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("serve", "arcpoint keys create NAME --role ROLE"),
        ("proxy", "name its senders in ARCPOINT_PROXY_FILE"),
    ],
)
def test_other_machines_are_not_let_in_without_authentication(
    arcpoint: Run, monkeypatch: pytest.MonkeyPatch, host: str, command: str, says: str
) -> None:
    """Refused at the start, with what to do; 127.0.0.1 is proposed."""
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    monkeypatch.setenv("ARCPOINT_RISK_TICK_S", "0")
    refused = arcpoint(command, "--host", host, "--port", "0")
    assert refused.code == 2, refused.err
    assert says in refused.err
    assert "or listen on 127.0.0.1" in refused.err
    assert len(refused.err.splitlines()) == 1


class Guarded(BaseHTTPRequestHandler):
    """A service that lets nobody in, and keeps what it was sent."""

    sent: list[str]

    def do_GET(self) -> None:
        self._reply(200, {"version": version(), "database": "other", "model": None})

    def do_POST(self) -> None:
        self.sent.append(self.headers.get("authorization", ""))
        self._reply(401, {"type": "about:blank", "status": 401, "detail": "send an API key"})

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _reply(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Guarded, "sent", [], raising=False)
    with HTTPServer(("127.0.0.1", 0), Guarded) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["", "arc_0123456789ab_secret"])
def test_a_question_brings_its_key_and_a_refusal_is_an_error(
    arcpoint: Run, service: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The service that was named is not passed by in silence: one line, no answer, and never the key."""
    monkeypatch.setenv("ARCPOINT_API_KEY", key)
    refused = arcpoint("ask", "Which deployments are unhealthy?", "--service", service)
    assert (refused.code, refused.out) == (1, "")
    assert "the service refuses (401): send an API key" in refused.err
    assert "ARCPOINT_API_KEY" in refused.err
    assert "secret" not in refused.err
    assert Guarded.sent == [f"Bearer {key}" if key else ""]


def test_a_file_of_senders_opens_the_proxy(
    tmp_path: Path, arcpoint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naming one is enough for other machines; the address that is taken is then the next complaint."""
    file = tmp_path / "proxy.toml"
    file.write_text(f'[[users]]\ndigest = "{"0" * 64}"\nuser = "user_a"\n')
    monkeypatch.setenv("ARCPOINT_PROXY_FILE", str(file))
    refused = arcpoint("proxy", "--host", "192.0.2.1", "--port", "0")
    assert "cannot listen on 192.0.2.1" in refused.err
