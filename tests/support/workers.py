"""How a service of several workers is started by tests."""

from __future__ import annotations

from tests.support.command_line import START

TWO = ("--port", "0", "--workers", "2")
FORKING = f"""
import multiprocessing, uvicorn._subprocess
uvicorn._subprocess.spawn = multiprocessing.get_context("fork")
{START}
"""
"""Workers that need not import everything again."""
