"""What a file means by its times and numbers is stated, or it is refused; nothing becomes another value."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ingest import IngestSummary, MappingError, RequestRecord, load_mapping
from api.ingest.files.reader import Batch, read_batches
from api.ingest.records import Notation, ParseOptions, RecordInvalid, ValueProblem, parse_record
from api.ingest.records.notation import DECIMAL_SIGNS, THOUSANDS_SIGNS, likely_formats
from api.ingest.records.parsing import EPOCH_UNITS, MAX_TIME, MIN_TIME, TimePair, parse_number

pytestmark = pytest.mark.database  # ids of rows are kept in a temporary one

WriteFile = Callable[..., Path]
GOOD = {
    "id": "r1", "created_at": "2026-01-01T00:00Z", "user": "eve", "tier": "premium", "model": "gpt",
    "backend": "aws", "status": "success",
}  # fmt: skip
EXCEL = (
    "\ufeffid;created_at;user;tier;model;backend;status;latency_ms;cost_usd",
    "k1;20.11.2026 10:00;team-a;premium;m-large;p1;success;1.234,5;0,0123",
    "k2;20.11.2026 10:01;team-a;premium;m-large;p1;success;1.234;1e-3",
)
GERMAN = (
    "file.delimiter=;", "file.zone=Europe/Berlin", "created_at.format=%d.%m.%Y %H:%M", "file.decimal=,",
    "file.thousands=.",
)  # fmt: skip
STATED = ("user=u", "tier.constant=standard", "model=m", "backend=b", "status=s", "status.values.ok=success")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(MIN_TIME.replace(tzinfo=None), MAX_TIME.replace(tzinfo=None) - timedelta(seconds=1))


def batch_of(path: Path, *settings: str, mapping: Path | None = None) -> Batch:
    return next(read_batches(path, load_mapping(RequestRecord, mapping, settings), 1000))


def values(path: Path, *settings: str, mapping: Path | None = None) -> list[dict[str, Any]]:
    batch = batch_of(path, *settings, mapping=mapping)
    assert not batch.rejects, [str(problem) for row in batch.rejects for problem in row.problems]
    return [record.model_dump(exclude_unset=True) for record in batch.records]


def test_an_export_of_a_spreadsheet_loads_with_what_it_needs_stated(
    write_file: WriteFile, tmp_path: Path
) -> None:
    """Format, zone and signs for the whole file, by settings as by a mapping file."""
    path = write_file(*EXCEL)
    first, second = values(path, *GERMAN)
    assert first["created_at"] == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert (first["latency_ms"], first["cost_usd"]) == (1234, Decimal("0.0123"))
    assert (second["latency_ms"], second["cost_usd"]) == (1234, Decimal("0.001"))
    mapping = tmp_path / "excel.toml"
    mapping.write_text(
        "[file]\ndelimiter = ';'\nzone = 'Europe/Berlin'\ntime_format = '%d.%m.%Y %H:%M'\n"
        "decimal = ','\nthousands = '.'\n"
        "[requests]\n" + "".join(f"{name} = {name!r}\n" for name in EXCEL[0][1:].split(";"))
    )
    assert values(path, mapping=mapping) == [first, second]


def test_what_is_not_stated_is_refused_with_all_that_would_help(write_file: WriteFile) -> None:
    """Before anything is written: a thousand of somebody else beside it would load as a small number."""
    with pytest.raises(MappingError) as error:
        batch_of(write_file(*EXCEL), "file.delimiter=;")
    said = str(error.value)
    assert "created_at: a time without a format: '20.11.2026 10:00' looks like '%d.%m.%Y %H:%M'" in said
    assert "--set created_at.format='%d.%m.%Y %H:%M'" in said
    assert (
        "latency_ms: not a number with the signs that are stated: '1.234,5': --set file.decimal=','" in said
    )
    assert "--set file.thousands='.'" in said
    half = write_file(
        EXCEL[0], EXCEL[1].replace("1.234,5", "1.5"), EXCEL[1].replace("1.234,5", "1,5").replace("k1", "k2")
    )
    batch = batch_of(half, *GERMAN[:3], "cost_usd.decimal=,")
    assert [str(row.problems[0]).partition(": '")[0] for row in batch.rejects] == [
        "latency_ms: not a number with the signs that are stated"
    ]


@pytest.mark.parametrize(
    ("lines", "settings", "latency"),
    [
        (("a,b", "2026-11-20T10:00:00.100Z,2026-11-20T10:00:02.600Z"), (), 2500),
        (("a,b", "2026-10-25 02:59:59+02:00,2026-10-25 02:00:01+01:00"), (), 2000),
        (("a,b", "1795600800123456789,1795600801123456789"), ("latency_ms.unit=ns",), 1000),
        (("a,b", "1795600800.25,1795600801.5"), ("latency_ms.unit=s",), 1250),
        (("a,b", "20.11.2026 10:00,20.11.2026 10:01"),
         ("latency_ms.format=%d.%m.%Y %H:%M", "file.zone=UTC"), 60000),
        (("a,b", "2026-11-20T10:00:00Z,"), (), None),
        (("a,b", ",2026-11-20T10:00:00Z"), (), None),
    ],
)  # fmt: skip
def test_a_latency_is_what_lies_between_two_columns(
    write_file: WriteFile, lines: tuple[str, str], settings: tuple[str, ...], latency: int | None
) -> None:
    """In any notation of times; without one of the two nothing is said."""
    head, row = lines
    path = write_file(f"{head},created_at,u,m,p,s", f"{row},2026-11-20T10:00Z,eve,gpt,aws,ok")
    named = [each.replace("backend=b", "backend=p") for each in STATED]
    (found,) = values(path, *named, "latency_ms.start=a", "latency_ms.end=b", *settings)
    assert found["latency_ms"] == latency


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (("latency_ms.start=a",), "latency_ms: needs a start and an end"),
        (("cost_usd.start=a", "cost_usd.end=b"), "field cost_usd: this field is no duration"),
        (("latency_ms.start=a", "latency_ms.end=none"), "no column 'none', which is to fill latency_ms"),
        (("latency_ms.start=a", "latency_ms.end=b", "latency_ms.default=1"), "start and end no default"),
        (("latency_ms.format=%d",), "'%d' is not a format of times; expected day, month and year like"),
        (("created_at.format=dd.MM.yyyy",), "is not a format of times"),
        (("created_at.format=%d.%m.%Y %I:%M",), "is not a format of times"),
        (("cost_usd=a", "cost_usd.format=%d.%m.%Y"), "field cost_usd: this field has no format"),
        (("user=a", "user.decimal=,"), "field user: this field has no decimal"),
        (("file.decimal=;",), "file.decimal: ';' is not accepted; accepted are '.' ','"),
        (("file.decimal=,", "file.thousands=,"), "file: decimals and thousands cannot both have ','"),
        (("file.time_format=%H:%M",), "file.time_format: '%H:%M' is not a format of times"),
    ],
)
def test_a_notation_that_makes_no_sense_is_named(
    write_file: WriteFile, settings: tuple[str, ...], problem: str
) -> None:
    """With the field or the option, and what is accepted."""
    path = write_file("a,b,created_at,user,tier,model,backend,status,latency_ms", "1,2,3,4,5,6,7,8,9")
    with pytest.raises(MappingError, match=re.escape(problem)):
        batch_of(path, *settings)


@given(MOMENTS, MOMENTS, st.sampled_from(["iso", *EPOCH_UNITS, "%d.%m.%Y %H:%M:%S.%f"]))
def test_any_two_times_give_their_difference_or_a_reject(
    start: datetime, end: datetime, notation: str
) -> None:
    """A negative one is rejected, one of more than a month too."""
    factor = EPOCH_UNITS.get(notation)

    def written(moment: datetime) -> str:
        microseconds = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
        if factor:
            return str(Decimal(microseconds) / factor)
        return moment.isoformat() if notation == "iso" else moment.strftime(notation)

    options = Notation(UTC, notation if factor else None, notation if "%" in notation else None)
    pair = TimePair(written(start), written(end))
    try:
        record = parse_record(
            RequestRecord, GOOD | {"latency_ms": pair}, ParseOptions(Notation(), {"latency_ms": options})
        )
    except RecordInvalid as error:
        expected = "end before start" if end < start else "too large"
        assert [problem.kind for problem in error.problems] == [expected]  # noqa: PT017  either way is right
        assert end < start or end - start > timedelta(days=31) - timedelta(milliseconds=1)
    else:
        assert record.latency_ms is not None
        assert abs(timedelta(milliseconds=record.latency_ms) - (end - start)) <= timedelta(microseconds=500)


SIGNS = [
    (decimal, thousands)
    for decimal in DECIMAL_SIGNS
    for thousands in (None, *THOUSANDS_SIGNS)
    if decimal != thousands
]


@given(st.decimals(0, 10**9, places=4, allow_nan=False), st.sampled_from(SIGNS), st.sampled_from(SIGNS))
def test_a_number_is_itself_or_rejected(
    number: Decimal, signs: tuple[str, str], stated: tuple[str, str]
) -> None:
    """Read as it was written it is itself; read otherwise it is that, too, or rejected."""
    decimal, thousands = signs
    text = f"{number:,.4f}".replace(",", "T").replace(".", decimal).replace("T", thousands or "")
    assert parse_number(text, Notation(decimal=decimal, thousands=thousands)) == number
    with suppress(ValueProblem):
        other = parse_number(text, Notation(decimal=stated[0], thousands=stated[1]))
        # Four digits after the sign are no thousands, and two different signs cannot change places.
        assert other == number


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("20.11.2026 10:00", ["%d.%m.%Y %H:%M"]),
        ("03/04/2026 10:00:01", ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"]),
        ("11/20/2026 2:05 PM", ["%m/%d/%Y %I:%M %p"]),
        ("2026/11/20 10:00", ["%Y/%m/%d %H:%M"]),
        ("20-11-2026", ["%d-%m-%Y"]),
        ("yesterday", []),
    ],
)
def test_the_formats_that_a_time_can_have_read_it(text: str, found: list[str]) -> None:
    """Both are named where day and month cannot be told apart."""
    assert list(likely_formats(text)) == found
    for each in found:
        assert datetime.strptime(text, each).year == 2026  # noqa: DTZ007  only the year is looked at


async def test_clocks_that_are_changed_are_reported_and_move_no_row(
    load: Callable[..., Awaitable[IngestSummary]], write_log: WriteFile, request_line: Callable[..., str]
) -> None:
    """A time that never was is rejected; one that was twice is the first, with a count."""
    times = (
        "2026-03-29 02:30",
        "2026-10-25 02:30",
        "2026-10-25 02:31",
        "2026-10-25 02:30+01:00",
        "2026-07-01 12:00",
    )
    path = write_log(*(request_line(number, created_at=text) for number, text in enumerate(times)))
    summary = await load(path, "file.zone=Europe/Berlin")
    assert (summary.added, summary.rejected) == (4, 1)
    assert summary.reasons == {"created_at: a time that the clocks of Europe/Berlin skipped": 1}
    twice = "created_at: times in an hour that Europe/Berlin has twice, taken as the first of the two"
    assert summary.remarks == {twice: 2}
    batch = await asyncio.to_thread(batch_of, path, "file.zone=Europe/Berlin")
    first = batch.records[0]
    assert isinstance(first, RequestRecord)
    assert first.created_at.astimezone(ZoneInfo("Europe/Berlin")).isoformat() == "2026-10-25T02:30:00+02:00"


def test_numbers_of_json_have_a_point_whatever_is_stated(write_file: WriteFile) -> None:
    """Only texts are read with the signs of the file; constants are read as a mapping writes them."""
    line = (
        '{"created_at": 1795600800123456789, "u": "eve", "m": "gpt", "b": "aws", "s": "ok", '
        '"latency_ms": 1.500, "c": "1,5"}'
    )
    (found,) = values(
        write_file(line, name="log.jsonl"), *STATED, "created_at.unit=ns", "file.decimal=,",
        "file.thousands=.", "cost_usd=c", "daily_budget_usd.constant=0.25",
    )  # fmt: skip
    assert found["created_at"] == datetime(2026, 11, 25, 10, 0, 0, 123457, tzinfo=UTC)
    assert (found["latency_ms"], found["cost_usd"], found["daily_budget_usd"]) == (
        2,
        Decimal("1.5"),
        Decimal("0.25"),
    )


def test_the_cases_of_users_load(repository: Path) -> None:
    """Nanoseconds, two columns and a spreadsheet."""
    cases = repository.parent / "shared" / "data" / "cases"
    if not cases.exists():
        pytest.skip(f"the cases of users are not at {cases}")
    names = (
        "user=team",
        "tier.constant=standard",
        "backend=provider",
        "status=state",
        "status.values.ok=success",
    )
    (nanoseconds,) = values(cases / "epoch_ns.jsonl", "created_at=ts", "created_at.unit=ns", *names)
    assert nanoseconds["created_at"].year == 2026
    (pair,) = values(
        cases / "start_end.jsonl", "created_at=startTime", "tier.constant=standard",
        "backend=custom_llm_provider", "cost_usd=spend", "latency_ms.start=startTime",
        "latency_ms.end=endTime",
    )  # fmt: skip
    assert pair["latency_ms"] == 2500
    (sheet,) = values(cases / "excel_de.csv", *GERMAN)
    assert (sheet["latency_ms"], sheet["cost_usd"]) == (1234, Decimal("0.0123"))
