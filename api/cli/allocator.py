"""The C library's memory allocator, as a service with many threads needs it."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8
MAX_ARENAS = 2
"""Heaps that threads allocate in."""


def bound_arenas() -> None:
    """Let all threads share two heaps; call it before there are any.

    By default glibc gives nearly every thread a heap of its own, up to eight for each core, and what is free
    in one is no use to the others: a tenth of a service's memory. Threads that compute in turn hardly ever
    wait for each other's heap. Other C libraries have no such limit.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, MAX_ARENAS)
