"""`arcpoint memory approve` and `reject`: all incidents named, or none."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.support.command_line import Run


@pytest.fixture
def reviews(environment: dict[str, str]):  # type: ignore[no-untyped-def]  # noqa: ANN201  a function of ids
    """What the database says of incidents, read beside the program."""

    def read(*public_ids: str) -> list[str]:
        path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found = dict(connection.execute("SELECT public_id, review FROM incidents"))
        return [found[public_id] for public_id in public_ids]

    return read


@pytest.fixture
def incidents(environment: dict[str, str]) -> tuple[str, str]:
    path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        first, second = connection.execute("SELECT public_id FROM incidents ORDER BY id LIMIT 2")
    return first[0], second[0]


def test_decisions_are_told_one_line_each(arcpoint: Run, incidents: tuple[str, str], reviews) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  as above
    """What was decided before is told, too, and memory has to take in what was not."""
    first, second = incidents
    rejected = arcpoint("memory", "reject", first, second, "--by", "Ada")
    assert (rejected.code, rejected.err) == (0, "")
    assert rejected.out.splitlines() == [
        f"{first}  rejected",
        f"{second}  rejected",
        "2 incidents rejected by Ada; a running service picks this up, or run `arcpoint memory sync`",
    ]
    assert reviews(first, second) == ["rejected", "rejected"]
    again = arcpoint("memory", "reject", second)
    assert (again.code, again.out) == (0, f"{second}  already rejected\n")
    assert arcpoint("memory", "approve", first).code == 0
    assert reviews(first, second) == ["approved", "rejected"]


def test_an_unknown_incident_changes_nothing(arcpoint: Run, incidents: tuple[str, str], reviews) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  as above
    """One line with what is known, and the exit code of wrong input."""
    first, _ = incidents
    result = arcpoint("memory", "reject", first, "inc_none")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("arcpoint: incident 'inc_none' is not known; known names include inc_")
    assert reviews(first) == ["approved"]
    assert "cannot be a reviewer" in arcpoint("memory", "approve", first, "--by", " ").err
    assert arcpoint("memory", "approve").code == 2
