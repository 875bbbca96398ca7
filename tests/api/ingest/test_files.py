"""Rows come out of a file with the line they start on, whatever the file looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.ingest import InputError, MappingError, RequestRecord, load_mapping
from api.ingest.files.data_file import open_rows
from api.ingest.files.lines import MAX_ROW_BYTES, Row
from api.ingest.files.mapping import FileOptions
from api.ingest.files.reader import read_batches

WriteFile = Callable[..., Path]
MB = 2**20


def read(path: Path, **options: str) -> list[Row]:
    with open_rows(path, FileOptions(**options)) as rows:  # type: ignore[arg-type]
        return list(rows)


def summarized(rows: list[Row]) -> list[tuple[int, object]]:
    """Line, and either the values or the kind of problem."""
    return [(row.line, row.problems[0].label if row.problems else row.values) for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(
    write_file: WriteFile, end: str, mark: str
) -> None:
    """Windows line ends and a BOM are no part of any value."""
    path = write_file(f"{mark}a,b", "1, x ", "", "2,é", end=end)
    assert summarized(read(path)) == [(2, {"a": "1", "b": "x"}), (4, {"a": "2", "b": "é"})]


def test_a_quoted_field_over_several_lines_keeps_the_line_it_starts_on(write_file: WriteFile) -> None:
    """Line numbers are those that an editor shows."""
    rows = read(write_file("a,b", '"one', 'two, ""three""",x', "4,y"))
    assert summarized(rows) == [(2, {"a": 'one\ntwo, "three"', "b": "x"}), (4, {"a": "4", "b": "y"})]
    assert rows[0].original == '"one\ntwo, ""three""",x'


@pytest.mark.parametrize("broken", ['"2,x"y', '2,"x"y', "2", "2,x,y"])
def test_a_broken_row_takes_no_other_with_it(write_file: WriteFile, broken: str) -> None:
    """A misplaced quote or a wrong number of values rejects its own row; the rows after it are read."""
    rows = read(write_file("a,b", "1,x", broken, "3,x", '4,"x"'))
    assert {row.line: row.values["a"] for row in rows if not row.problems} == {2: "1", 4: "3", 5: "4"}
    (rejected,) = (row for row in rows if row.problems)
    assert (rejected.line, rejected.original) == (3, broken)


def test_a_quote_that_is_never_closed_rejects_what_it_encloses(write_file: WriteFile) -> None:
    """The rows it swallows are in one reject with the lines named; the search for its end is bounded."""
    (row,) = read(write_file("a,b", '1,"x', "2,x"))
    assert (row.line, row.original) == (2, '1,"x\n2,x')
    assert "lines 2 to 3 were read as one row, is a quote missing?" in str(row.problems[0])
    filler = [f"{number},{'x' * 1000}" for number in range(2 * MAX_ROW_BYTES // 1000)]
    rows = read(write_file("a,b", '"0,x', *filler))
    assert [row.line for row in rows if row.problems] == [2]
    assert len(rows) > len(filler) // 3


def test_a_field_of_a_megabyte_is_read_and_a_line_without_end_is_not(write_file: WriteFile) -> None:
    """Memory stays bounded: beyond the limit a line is cut, rejected and skipped to its end."""
    path = write_file("a,b", f"1,{'x' * MB}", f"2,{'y' * (2 * MAX_ROW_BYTES)}", "3,z")
    one, two, three = read(path)
    assert (one.line, len(one.values["b"])) == (2, MB)
    assert str(two.problems[0]) == "row: too long: more than 8,388,608 bytes"
    assert len(two.original) <= MAX_ROW_BYTES
    assert (three.line, three.values, three.end) == (4, {"a": "3", "b": "z"}, path.stat().st_size)


def test_bytes_that_are_no_text_reject_their_row(write_file: WriteFile) -> None:
    """Latin-1 in the middle of a UTF-8 file is named with its byte; NUL is text until it is stored."""
    rows = read(write_file("a,b", "1,x", "2,caf\udce9", "3,\0"))
    assert str(rows[1].problems[0]).startswith(
        "row: not UTF-8: byte 0xe9 after 5 characters; a file in Latin-1"
    )
    assert summarized(rows)[2] == (4, {"a": "3", "b": "\0"})


def test_json_lines_give_exact_text_and_dotted_names(write_file: WriteFile) -> None:
    """Numbers keep their digits; members of nested objects are columns too; null is empty."""
    line = (
        '{"cost": 0.10000000000000000001, "n": 5, "ok": true, "no": null, "u": {"t": {"x": 1.50}}, "l": [1]}'
    )
    (row,) = read(write_file(line, name="log.jsonl"))
    assert row.values == {
        "cost": "0.10000000000000000001", "n": "5", "ok": "true", "no": "", "l": "[1]",
        "u": '{"t": {"x": 1.5}}', "u.t": '{"x": 1.5}', "u.t.x": "1.50",
    }  # fmt: skip


@pytest.mark.parametrize(
    "broken", ['{"a": 1', "[1]", "null", "1", "x", '{"a": ' + "[" * 100_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_a_broken_json_line_is_rejected_and_the_next_is_read(write_file: WriteFile, broken: str) -> None:
    """JSON Lines: each line is a row of its own."""
    rows = read(write_file('{"a": 1}', broken, "", '{"a": 3}', name="log.jsonl"))
    assert [row.line for row in rows] == [1, 2, 4]
    assert rows[1].problems
    assert rows[1].original == broken
    assert rows[2].values == {"a": "3"}


@pytest.mark.parametrize(
    ("name", "options", "first"),
    [
        ("log.csv", {}, "a,b"),
        ("log.tsv", {}, "a\tb"),
        ("log.txt", {"delimiter": ";"}, "a;b"),
        ("log.txt", {"delimiter": "tab"}, "a\tb"),
        ("log", {"format": "csv"}, "a,b"),
    ],
)
def test_format_and_delimiter_come_from_the_name_or_from_options(
    write_file: WriteFile, name: str, options: dict[str, str], first: str
) -> None:
    """A suffix is enough where it says something; an option wins."""
    assert summarized(read(write_file(first, first, name=name), **options)) == [(2, {"a": "a", "b": "b"})]


@pytest.mark.database  # ids of rows are kept in a temporary one
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        (b"a,b\n", "no rows follow"),
        (b"a,b\n\n\n", "no rows follow"),
        (b"\x1f\x8b\x08\x00\x00", "compressed"),
        (b"PK\x03\x04\x14\x00", "Excel"),
        (b"PAR1\x15\x04", "Parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark; convert it to UTF-8: iconv"),
        ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (b"\x00\x01\x02\x03\n\x00", "line 1 holds NUL"),
        (b"\xff\xd8\xff\xe0,x\n1,2\n", "line 1: row: not UTF-8: byte 0xff after 0 characters"),
        (b"a,b\n\xe9,2\n", "line 2: row: not UTF-8"),
        (b'"a,b\n1,2\n', "line 1: row: not valid CSV"),
        (b"a,b\r1,2\r", "line 1: row: not valid CSV"),
        (b"[{}]", "JSON array"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_as_a_whole(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    """Empty, binary, compressed or foreign files fail at once and say what they are."""
    path = tmp_path / ("log.json" if content.startswith(b"[") else "log.csv")
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as error:
        next(read_batches(path, load_mapping(RequestRecord), 10))
    assert str(path) in str(error.value)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, and a delimiter that can separate nothing."""
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="not a regular file"):
        read(tmp_path)
    (tmp_path / "log.csv").write_text("a b\n1 2\n")
    with pytest.raises(MappingError, match="cannot separate"):
        read(tmp_path / "log.csv", delimiter='"')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text('a",\n\r\0é\udce9', max_size=60), st.sampled_from(["log.csv", "log.jsonl"]))
def test_no_text_breaks_the_reader_and_no_line_is_lost(tmp_path: Path, text: str, name: str) -> None:
    """Every line is in the original text of some row, is blank, or is the header."""
    path = tmp_path / name
    path.write_bytes(f"a,b\n{text}".encode("utf-8", "surrogateescape") + b"\n1,2\n")
    rows = read(path)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    assert rows[-1].end == path.stat().st_size
    found = "\n".join(row.original for row in rows)
    for line in text.split("\n"):
        assert line.strip() in found
