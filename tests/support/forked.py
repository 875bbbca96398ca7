"""Processes that run a function of the tests, forked from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from unittest.mock import patch

_IMPORTED = [f"tests.support.{name}" for name in ("auditing_process", "batch_process", "spending_process")]
"""Modules of such functions: the server is asked to import them once, when it starts."""


def forked(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process that calls the function."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=function, args=arguments)
    # The server looks for modules only where the environment says.
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        process.start()
    return process
