"""Bytes from elsewhere, whatever they are: rows, rejects, or the one error that a parser promises."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.hostile_bytes import hostile
from tests.support.hostile_parsers import parsers

PARSERS = parsers()
# Those of files keep the ids that they have seen in a database of their own.
NAMES = [
    pytest.param(name, marks=pytest.mark.database) if name in ("CSV", "JSON Lines") else name
    for name in PARSERS
]
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
SETTINGS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
DEEP, LONG = 100_000, 10_000
BOMBS = [
    *(b"[" * DEEP, b'{"a":' * DEEP, b"{" * LONG, b"- " * LONG, b"> " * (LONG // 10)),
    *(b'"' + b"a" * LONG + b'"', b"9" * LONG, b"\\" * LONG, b" " * LONG, b"\n" * LONG),
    *(b"1," * LONG, b"\xff" * LONG),
]
MAX_OVERHEAD, MAX_FACTOR = 32 * 2**20, 200
"""Bytes that a parser may take whatever it is given, and for each byte that it is given."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [40, pytest.param(2_000, marks=pytest.mark.exhaustive)])
def test_nothing_but_its_own_errors(tmp_path: Path, name: str, examples: int) -> None:
    """A sample with some tokens changed is parsed, or refused as the parser says that it refuses."""

    @settings(SETTINGS, max_examples=examples)
    @given(body=hostile(PARSERS[name].samples))
    def holds(body: bytes) -> None:
        with suppress(*PARSERS[name].errors):
            PARSERS[name].parse(body, tmp_path / "file")

    holds()


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_memory_is_bounded_by_what_came(tmp_path: Path, name: str) -> None:
    """Depth, length and number cost no more than so much for each byte, alone as in place of a value."""
    parser = PARSERS[name]
    tracemalloc.start()
    try:
        for bomb in [*BOMBS, *(in_place_of_a_value(parser.samples[0], bomb) for bomb in BOMBS)]:
            tracemalloc.reset_peak()
            with suppress(*parser.errors):
                parser.parse(bomb, tmp_path / "file")
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < MAX_OVERHEAD + MAX_FACTOR * len(bomb), (peak, bomb[:200])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_valid(tmp_path: Path, name: str) -> None:
    """Else nothing behind the first check would be tested."""
    for sample in PARSERS[name].samples:
        PARSERS[name].parse(sample, tmp_path / "file")


def in_place_of_a_value(sample: bytes, value: bytes) -> bytes:
    """The last value of a document, as JSON, TOML and YAML write it."""
    *_, last = [None, *re.finditer(rb"(?<=[:=])\s*[^\s,:={}]+", sample)]
    return value if last is None else sample[: last.start()] + b" " + value + sample[last.end() :]
