"""A real Chroma server on loopback, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.support.command_line import program
from tests.support.patience import PATIENCE_S

_CHROMA = "from chromadb.cli.cli import app; app()"
"""What the command `chroma` does."""

_START_S = PATIENCE_S
"""Generous: the machine may be busy with other tests."""


class ChromaProcess:
    """`chroma run` on a free port; it can be killed, halted and started again on what it has stored."""

    def __init__(self, folder: Path) -> None:
        """Start it, and wait until it answers."""
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it on the same folder and port as before."""
        options = ["--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*program(_CHROMA), "run", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        give_up = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise RuntimeError(f"the Chroma server on port {self.port} did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def halt(self) -> None:
        """Suspend it, with its connections open."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume it."""
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/api/v2/heartbeat")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
