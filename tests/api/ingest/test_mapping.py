"""A mapping that does not fit is an error that names the field or column, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.ingest import IncidentRecord, InputError, MappingError, RequestRecord, load_mapping
from api.ingest.files.reader import Batch, read_batches

pytestmark = pytest.mark.database  # ids of rows are kept in a temporary one

WriteFile = Callable[..., Path]

WHOLE = """
[file]
zone = "Europe/Paris"
[requests]
created_at = "when"
user = { column = "who", default = "nobody", values = { "-" = "" } }
tier = { constant = "premium" }
model = "m"
backend = { constant = "aws" }
status = { column = "state", values = { OK = "success", KO = "error", "a.b=c" = "timeout" } }
latency_ms = { column = "took", unit = "s" }
cost_usd = { constant = 0.25, unit = "cent" }
error_code = { column = "code", optional = true }
"""


def first_batch(mapping_path: Path | None, path: Path, *settings: str) -> Batch:
    return next(read_batches(path, load_mapping(RequestRecord, mapping_path, settings), 1000))


def convert(mapping_path: Path | None, path: Path, *settings: str) -> list[dict[str, Any]]:
    batch = first_batch(mapping_path, path, *settings)
    assert not batch.rejects
    return [record.model_dump(exclude_unset=True, exclude={"id"}) for record in batch.records]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(WHOLE, encoding="utf-8")
    return path


def test_every_kind_of_rule_is_applied(write_file: WriteFile, whole: Path) -> None:
    """Columns, constants, units, value maps, defaults, zones and optional columns give typed values."""
    path = write_file(
        "when,who,m,state,took", "2024-07-01 12:00,-,gpt,a.b=c,1.5", "2024-07-01 13:00,eve,gpt,OK,"
    )
    first, second = convert(whole, path)
    assert first["created_at"] == datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert (first["user"], first["status"], first["latency_ms"]) == ("nobody", "timeout", 1500)
    assert (second["user"], second["status"], second["latency_ms"]) == ("eve", "success", None)
    assert str(first["cost_usd"]) == "0.002500000"
    assert "error_code" not in first


def test_settings_win_over_the_file(write_file: WriteFile, whole: Path) -> None:
    """A flag replaces one rule and leaves the others."""
    path = write_file("when;who;m;state;took;t", "2024-07-01 12:00;eve;gpt;DONE;1.5;budget")
    settings = (
        "file.delimiter=;", "file.zone=+05:30", "tier=t", "model.constant=claude", "latency_ms.unit=ms",
        "status.values.DONE=success", "backend.constant=a=b", "cost_usd.constant=1",
    )  # fmt: skip
    (row,) = convert(whole, path, *settings)
    assert row["created_at"] == datetime(2024, 7, 1, 6, 30, tzinfo=UTC)
    assert (row["tier"], row["model"], row["backend"], row["latency_ms"]) == ("budget", "claude", "a=b", 2)
    assert str(row["cost_usd"]) == "0.010000000"


def test_without_a_mapping_columns_fill_the_fields_of_their_names(
    write_file: WriteFile, header: str, request_line: Callable[..., str]
) -> None:
    """A file that uses our names needs no mapping; settings refine it."""
    path = write_file(header, request_line(7))
    (row,) = convert(None, path, "latency_ms.unit=s", "user.default=x")
    assert (row["user"], row["latency_ms"]) == ("user_0", 7000)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (("user=whom",), "no column 'whom', which is to fill user; did you mean 'who'"),
        (("usr=who",), "no field 'usr'; did you mean 'user'"),
        (("latency_ms.unit=h",), "field latency_ms: unknown unit 'h'; accepted are ms, s, us, ns"),
        (("user.unit=s",), "field user: this field has no unit"),
        (
            ("tier.constant=gold",),
            "field tier: unknown value: 'gold'; accepted are premium, standard, budget",
        ),
        (("status.values.OK=fine",), "field status: unknown value: 'fine'"),
        (("user.default=" + "x" * 101,), "field user: too long"),
        (("id.constant=1",), "field id: has to come from a column"),
        (("file.zone=Mars/Base",), "file.zone: unknown time zone 'Mars/Base'"),
        (("file.colour=red",), "file.colour: is not a setting"),
        (("file.format=xml",), "file.format: "),
        (("user.colour=red",), "--set: requests.user.colour: is not a setting .for example user=groupId"),
        (("user.optional=perhaps",), "requests.user.optional: "),
        (("user",), "--set 'user': expected field=column"),
        (("=x",), "expected field=column"),
        (("user=",), "requests.user.column: "),
        (("tier.default=budget",), "requests.tier: .*constant takes no default"),
        (("file.zone=",), "unknown time zone"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    write_file: WriteFile, whole: Path, settings: tuple[str, ...], problem: str
) -> None:
    """Each error is one line with the field, the value and what would be accepted."""
    path = write_file("when,who,m,state,took", "2024-07-01 12:00,eve,gpt,OK,1")
    with pytest.raises(MappingError, match=problem) as error:
        convert(whole, path, *settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[requests]\nuser = 5", "requests.user: "),
        ("[requests]\nuser = {}", "needs a column or a constant"),
        ("[requests]\nuser = { column = 'a', constant = 'b' }", "needs a column or a constant, and not both"),
        ("[requests]\nuser = { colum = 'a' }", "requests.user.colum: is not a setting"),
        ("[request]\nuser = 'a'", "request: is not a setting"),
        ("[incidents]\ntitle = 'a'", r"has no \[requests\] table"),
        ("requests = 5", "requests: "),
        ("[requests]\ntier = { constant = true }", "requests.tier.constant: "),
        ("[requests]\nuser == 1", "not TOML: .*line 2"),
        ("[requests]\nuser = '\udce9'", "not TOML"),
        ("", r"has no \[requests\] table"),
        ("x = " + "[" * 50_000, "not TOML"),
        ("#" * 1_000_001, "is this the data?"),
    ],
)
def test_a_mapping_file_that_makes_no_sense_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """The error has the file's name and the place in it."""
    path = tmp_path / "mapping.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(MappingError, match=problem) as error:
        load_mapping(RequestRecord, path, ("model=x",))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mapping_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A missing file, and a folder."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="cannot read the mapping"):
            load_mapping(IncidentRecord, path)


def test_required_fields_that_nothing_fills_are_all_named(write_file: WriteFile) -> None:
    """One run names everything that is missing, and the columns there are."""
    path = write_file("created_at,user,modell", "2024-07-01T12:00Z,eve,gpt")
    with pytest.raises(MappingError, match=r"nothing fills tier, model, backend, status.*'modell'"):
        convert(None, path)


@pytest.mark.parametrize(("sign", "name"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
def test_a_wrong_delimiter_is_named_with_the_right_one(
    write_file: WriteFile, whole: Path, sign: str, name: str
) -> None:
    """Whether columns are missing or nothing fills a field, the setting is there to copy, and it works."""
    path = write_file(
        *(line.replace(";", sign) for line in ("when;who;m;state;took", "2024-07-01 12:00;eve;gpt;OK;1"))
    )
    said = re.escape(f"; the delimiter looks like {name}: --set file.delimiter={name} (columns: 'when")
    for mapping in (whole, None):
        with pytest.raises(MappingError, match=said):
            convert(mapping, path)
    (row,) = convert(whole, path, f"file.delimiter={name.strip(chr(39))}")
    assert row["latency_ms"] == 1000


def test_a_column_that_is_named_twice_cannot_be_mapped(write_file: WriteFile, whole: Path) -> None:
    """Which of the two is meant is not guessed; a column that is not mapped may come twice."""
    path = write_file("when,who,m,state,took,who", "2024-07-01 12:00,eve,gpt,OK,1,adam")
    with pytest.raises(MappingError, match="line 1: the column 'who' is there twice"):
        convert(whole, path)
    assert len(convert(whole, path, "user=m")) == 1


@pytest.mark.parametrize("when", ["2024-07-01 12:00:00", "1719835200"])
def test_a_time_without_zone_or_unit_is_found_before_anything_is_written(
    write_file: WriteFile, header: str, request_line: Callable[..., str], when: str
) -> None:
    """The first line is named, with what the mapping should say; one such row among others is a bad row."""
    lines = [
        request_line(1, created_at=""),
        request_line(2, created_at=when),
        request_line(3, created_at=when),
    ]
    path = write_file(header, *lines)
    with pytest.raises(MappingError, match=r"line 3: created_at: a (time|number) without a (zone|unit)"):
        convert(None, path)
    batch = first_batch(None, write_file(header, *lines[1:], request_line(4)))
    assert [row.line for row in batch.rejects] == [2, 3]
    assert all("without a" in row.problems[0].kind for row in batch.rejects)


def test_json_lines_may_lack_optional_columns_in_their_first_rows(write_file: WriteFile, whole: Path) -> None:
    """Columns are those of the first rows, whichever row has them."""
    lines = (
        '{"when": "2024-07-01 12:00", "m": "gpt", "state": "OK", "took": 1}',
        '{"when": "2024-07-01 12:00", "m": "gpt", "state": "OK", "who": "eve"}',
    )
    first, second = convert(whole, write_file(*lines, name="log.jsonl"))
    assert (first["user"], second["user"]) == ("nobody", "eve")
    with pytest.raises(MappingError, match="first rows: no column 'took'"):
        convert(whole, write_file(lines[1], name="log.jsonl"))


def test_the_shipped_example_maps_the_trace(write_file: WriteFile, repository: Path) -> None:
    """`docs/examples/gateway_trace.toml` says what the product promises about the public trace."""
    path = write_file(
        "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,checkpoint_model_version_id,num_lora",
        "2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0000,M0000,0",
        "2024-11-15 18:16:14,INPAINTING,FAILED,1.0,G0001,,0",
        "2024-11-15 18:17:06,TXT_2_IMG,PENDING,,G0001,M0001,0",
        "2024-11-15 18:17:16,IMG_2_IMG,PROCESSING,0.5,G0001,M0001,1",
    )
    rows = convert(repository / "docs" / "examples" / "gateway_trace.toml", path)
    assert [row["status"] for row in rows] == ["success", "error", "pending", "pending"]
    assert [row["latency_ms"] for row in rows] == [32000, 1000, None, 500]
    assert [row["model"] for row in rows] == ["M0000", "unknown", "M0001", "M0001"]
    assert rows[0] == {
        "created_at": datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC), "user": "G0000", "tier": "standard",
        "model": "M0000", "backend": "diffusion", "status": "success", "latency_ms": 32000,
        "task_type": "TXT_2_IMG",
    }  # fmt: skip
