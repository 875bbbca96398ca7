"""The Unix socket of a service: ours alone, in its place only while it answers."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from structlog.testing import capture_logs

from api.cli.service_socket import local_listener, socket_path
from api.settings import Settings


def test_it_is_ours_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    """The folder is made, only the owner has rights, and nothing is left."""
    path = socket_path(Settings(memory_path=tmp_path / "deep" / "memory"))
    assert path == tmp_path / "deep" / "arcpoint.sock"
    with local_listener(path) as [listener], socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client.connect(str(path))
        listener.accept()[0].close()
    assert list(path.parent.iterdir()) == []


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    """After a kill the next service takes the place; beside a running one a second has no socket."""
    path = tmp_path / "arcpoint.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with local_listener(path) as [first]:
        made = path.stat()
        with capture_logs() as logs, local_listener(path) as none:
            assert none == []
        assert "another service listens there" in str(logs)
        assert path.stat().st_ino == made.st_ino
        first.close()
        with local_listener(path) as [_]:
            assert path.stat().st_ino != made.st_ino
    assert not path.exists()


def test_a_place_that_cannot_hold_a_socket_costs_only_the_socket(tmp_path: Path) -> None:
    """A path that is too long, or in a file, is logged, and errors of the service pass unchanged."""
    (tmp_path / "file").touch()
    for path in (tmp_path / ("x" * 100) / "arcpoint.sock", tmp_path / "file" / "arcpoint.sock"):
        with capture_logs() as logs, local_listener(path) as none:
            assert none == []
        assert [line["event"] for line in logs] == ["no local socket"]
