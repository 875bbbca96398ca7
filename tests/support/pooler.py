"""A real PgBouncer before the private PostgreSQL, and a certificate for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from models.database import parse_url
from tests.support.patience import PATIENCE_S


class PgBouncer:
    """PgBouncer in transaction mode, as people run it: no session outlives a transaction."""

    def __init__(self, folder: Path, database_url: str, **settings: object) -> None:
        """Start it; `settings` are lines of its configuration. Skips the test where it is not installed."""
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
        server = parse_url(database_url)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            **settings,
        }
        if os.geteuid() == 0:
            lines["user"] = "pgserver"  # it refuses root, and only this user may use PostgreSQL's socket
        path = folder / "pgbouncer.ini"
        path.write_text(
            f"[databases]\n* = host={server.query['host']} user=postgres\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        for part in (path, *path.parents):  # as another user it must still reach its files
            if part.is_relative_to(folder):
                part.chmod(0o755)
        self.name = server.database
        self._process = subprocess.Popen([program, "-q", str(path)], stderr=subprocess.DEVNULL)
        self._wait_until_it_listens()

    def url(self, parameters: str = "") -> str:
        """The URL of the database through it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self.name}{parameters}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("PgBouncer did not start")


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key beside it as `.key`."""
    certificate = folder / f"{name}.crt"
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    files = ("-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate))
    make = (program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files)
    subprocess.run(make, check=True, capture_output=True)
    certificate.with_suffix(".key").chmod(0o644)
    return certificate
