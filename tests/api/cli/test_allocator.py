"""The memory of a service does not grow with the number of its threads."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from api.cli.allocator import MAX_ARENAS

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps per thread"),
]

THREADS = """
import ctypes, sys, threading
from api.cli.allocator import bound_arenas
{first}
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
allocated = threading.Barrier(12)
def work():
    libc.malloc(1000)
    allocated.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.parametrize(("first", "is_bounded"), [("bound_arenas()", True), ("", False)])
def test_threads_share_a_few_heaps(first: str, is_bounded: bool) -> None:
    """Twelve threads that allocate at once have at most two heaps, of which they would else have more."""
    program = [sys.executable, "-c", THREADS.format(first=first)]
    report = subprocess.run(program, capture_output=True, check=True, text=True).stdout
    heaps = report.count("<heap nr=")
    assert heaps > 0
    assert (heaps <= MAX_ARENAS) is is_bounded, report
