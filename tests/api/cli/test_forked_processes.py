"""What `tests.support.fork_server` forks behaves as the interpreter that it stands for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import program
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.process

SURROUNDINGS = """
import os, signal, sys, warnings
print(sys.argv, os.getcwd(), sorted(os.environ), os.environ["A"], sys.stdin.read(), sys.warnoptions)
print(os.getppid(), os.getsid(0) == os.getpid())
print(signal.getsignal(signal.SIGINT), signal.pthread_sigmask(0, ()))
print([number for number in range(64) if os.path.exists(f"/proc/self/fd/{number}")])
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty())
    stream.reconfigure(errors="backslashreplace")
"""
ENDS = {
    "at the end of its code": "print('said')",
    "with a code": "import sys; print('said'); sys.exit(259)",
    "without one": "raise SystemExit",
    "with a message": "import sys; sys.exit('why')",
    "with an error": "1 / 0",
    "with a warning": "import warnings; warnings.warn('x', DeprecationWarning)",
    "as if by Ctrl-C": "raise KeyboardInterrupt",
    "by a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "after its threads": "import threading as t, time; t.Timer(0.1, print, ['late']).start()",
    "after what is to be done at exit": "import atexit; atexit.register(print, 'last')",
    "at once": "import os; print('lost'); os._exit(4)",
    "with a closed output": "import sys; print('said'); sys.stdout.close()",
}


def run(code: str, *arguments: str, forked: bool, **options: object) -> tuple[int, str, str]:
    """Exit code, output and the last line of the errors."""
    done = subprocess.run(  # type: ignore[call-overload]
        [*program(code, forked=forked), *arguments],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S, **options,
    )  # fmt: skip
    return done.returncode, done.stdout, "".join(done.stderr.splitlines()[-1:])


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_it_ends_as_another_interpreter_does(code: str) -> None:
    """The same exit code, output and error, whatever ends it."""
    assert run(code, forked=True) == run(code, forked=False)


def test_it_is_surrounded_by_what_it_was_given(tmp_path: Path) -> None:
    """Arguments, environment, folder, streams, session, signals; it is our child and has no other files."""
    given = {"cwd": tmp_path, "env": os.environ | {"A": "b=c\n"}, "input": "typed\n"}
    for new_session in (False, True):
        options = given | {"start_new_session": new_session}
        forked, other = (
            run(SURROUNDINGS, "x", "-c", "ü", "", forked=how, **options) for how in (True, False)
        )
        assert forked == other
        assert (forked[0], forked[2]) == (0, "")


def test_a_signal_that_comes_at_once_reaches_it() -> None:
    """However early it is interrupted, it does not go on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(program("import time; time.sleep(600)"), stderr=subprocess.DEVNULL)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == -number


def test_only_what_asks_for_it_is_forked() -> None:
    """A process that is started afresh has imported nothing."""
    code = "import sys; print('sqlalchemy' in sys.modules)"
    assert [run(code, forked=how)[1] for how in (True, False)] == ["True\n", "False\n"]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
