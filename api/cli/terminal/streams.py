"""Standard streams made safe: no control characters, no traceback for one that is closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

from api.errors import ArcpointApiError

BROKEN_PIPE = 141
"""Exit code that shells report for a program ended by a closed pipe."""
UNWRITABLE = 1


_KEPT = "\n\t"
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_DIRECTIONS = [0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_REPLACED = {code: "\ufffd" for code in [*_CONTROLS, *_DIRECTIONS] if chr(code) not in _KEPT}


class OutputFailed(ArcpointApiError, OSError):
    """Standard output cannot be written, for example because a disk is full."""


def printable(text: str) -> str:
    """Replace characters that control a terminal, which logs and models may contain."""
    return text.replace("\r\n", "\n").translate(_REPLACED)


def say(text: str = "") -> None:
    """Write one or more lines to standard output. Raises OutputFailed and BrokenPipeError."""
    write(f"{printable(text)}\n")


def write(text: str) -> None:
    """Write text that is already safe. Raises OutputFailed and BrokenPipeError."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_output()
        raise OutputFailed(f"cannot write the output: {error.strerror}") from error


def print_error(message: str) -> None:
    """Write one line to standard error; if that fails, the exit code must do."""
    with suppress(OSError):
        sys.stderr.write(f"arcpoint: {printable(' '.join(message.split()))}\n")


def invalid_argument(arguments: Sequence[str]) -> str | None:
    """Describe the first argument that is not valid text; None if all are."""
    for position, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            return f"argument {position} is not valid UTF-8 text: {argument!a}"
    return None


def prepare_streams() -> None:
    """Open what the parent process has closed, and allow any text to be written in any encoding."""
    # In the order of their numbers, which opening takes: no database may get a standard stream's.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  stays open
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams(code: int) -> int:
    """Flush standard output and return the exit code, which changes if that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
        return BROKEN_PIPE
    except OSError as error:
        silence_output()
        print_error(f"cannot write the output: {error.strerror}")
        return code or UNWRITABLE
    return code


def silence_output() -> None:
    """Discard buffered output, so that nothing fails when the interpreter exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
