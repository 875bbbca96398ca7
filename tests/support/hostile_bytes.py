"""Bytes that are almost a valid document: samples with some tokens cut, repeated or replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[\w.+-]+|\s+|.', re.DOTALL)
_WRITTEN = [
    *(
        b"",
        b"NaN",
        b"-Infinity",
        b"nan",
        b"1e999",
        b"-1e-999",
        b"-1",
        b"-0",
        b"0x1F",
        b"1_0",
        b"true",
        b"null",
    ),
    *(b"9" * 400, b"9" * 5_000, b"0." + b"9" * 400, b"1" * 19, b"18446744073709551616"),
    *(
        b"{}",
        b"[]",
        b'""',
        b'"',
        b"'",
        b"'''",
        b'"""',
        b"\\",
        b",",
        b":",
        b"=",
        b"\n",
        b"\r",
        b"\r\n",
        b"---\n",
    ),
    *(
        b"\x00",
        b"\x1a",
        b"\x7f",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
    ),
    *("\u2028".encode(), "\ufffe".encode(), "İ".encode(), "ﷺ".encode() * 20, "e\u0301\u0301".encode() * 50),
    *(
        rb"\ud800",
        rb'"\ud83d"',
        rb'"\u0000"',
        b"&a",
        b"*a",
        b"!!python/object:os.system",
        b"<!--",
        b"```",
        b"| - |",
    ),
    *(b"[" * 2_000, b'{"a":' * 2_000, b"(" * 500, b"> " * 500, b"a = [" * 300, b"  - " * 300, b"#" * 300),
    *(b"2026-02-30T25:61:61Z", b"0000-00-00", b"9999-12-31T23:59:59.999999999-23:59", b"../../etc/passwd"),
]
_VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        10**18,
        -(10**30),
        10**400,
        1e308,
        -0.0,
        float("nan"),
        float("inf"),
        "",
        "\0",
        "\ud800",
    ),
    *(
        "9" * 400,
        "NaN",
        "-1",
        "x" * 5_000,
        "\u202e",
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"a": {"a": {"a": []}}},
    ),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "2026-11-29", "1795957969.672706", "%s{0}"),
]


def hostile(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes made of one of the samples by one to three changes."""
    return st.sampled_from(samples).flatmap(_changed)


@st.composite
def _changed(draw: st.DrawFn, sample: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from([_with_value, _with_token, _with_token, _cut, _repeated, _with_byte]))
        sample = change(draw, sample)
    return sample


def _with_value(draw: st.DrawFn, sample: bytes) -> bytes:
    """Another value, or a key that is not text, somewhere in a JSON document."""
    try:
        document = json.loads(sample)
    except (ValueError, RecursionError):
        return _with_token(draw, sample)
    place = draw(st.sampled_from(list(_places(document))))
    return json.dumps(_replaced(document, place, draw(st.sampled_from(_VALUES)))).encode()


def _with_token(draw: st.DrawFn, sample: bytes) -> bytes:
    start, end = _span(draw, sample)
    return sample[:start] + draw(st.sampled_from(_WRITTEN)) + sample[end:]


def _cut(draw: st.DrawFn, sample: bytes) -> bytes:
    start, _ = _span(draw, sample)
    return sample[:start] if draw(st.booleans()) else sample[start:]


def _repeated(draw: st.DrawFn, sample: bytes) -> bytes:
    (start, _), (_, end) = sorted([_span(draw, sample), _span(draw, sample)])
    return sample[:end] + sample[start:end] * draw(st.sampled_from([1, 2, 20])) + sample[end:]


def _with_byte(draw: st.DrawFn, sample: bytes) -> bytes:
    at = draw(st.integers(0, len(sample)))
    return sample[:at] + draw(st.binary(min_size=1, max_size=3)) + sample[at + draw(st.integers(0, 2)) :]


def _span(draw: st.DrawFn, sample: bytes) -> tuple[int, int]:
    """The place of one token."""
    spans = [found.span() for found in _TOKEN.finditer(sample)] or [(0, 0)]
    return spans[draw(st.integers(0, len(spans) - 1))]


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*at, key))


def _replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    if not place:
        return by
    copy = value.copy()
    copy[place[0]] = _replaced(value[place[0]], place[1:], by)
    return copy
