"""PostgreSQL URLs mean what they mean to libpq, and what cannot be done is refused by name."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.database import Database, parse_url
from models.errors import DatabaseError, DatabaseUnreachable
from models.postgresql_url import ACCEPTED, connect


class Attempts(list[dict[str, Any]]):
    """What each connection was asked for, all of which fail."""

    async def fail(self, **arguments: Any) -> None:
        self.append(arguments)
        raise ConnectionRefusedError("nobody there")

    @property
    def targets(self) -> list[tuple[object, object, object]]:
        return [(each["host"], each["port"], each["target_session_attrs"]) for each in self]


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    attempts = Attempts()
    monkeypatch.setattr(asyncpg, "connect", attempts.fail)
    return attempts


def try_to_connect(url: str) -> None:
    with contextlib.suppress(ConnectionRefusedError):
        asyncio.run(connect(parse_url(url)))


TARGETS: list[tuple[str, list[tuple[object, object, object]]]] = [
    ("postgresql://u@h:5433/d", [("h", 5433, None)]),
    ("postgres://u@h/d?port=5433", [("h", 5433, None)]),
    ("postgresql+psycopg2://u@h1:1,h2:2/d", [("h1", 1, None), ("h2", 2, None)]),
    ("postgresql:///d?host=h1,h2&port=1,2", [("h1", 1, None), ("h2", 2, None)]),
    ("postgresql:///d?host=h1&host=h2&port=7", [("h1", 7, None), ("h2", 7, None)]),
    ("postgresql:///d?host=/var/run/postgresql", [("/var/run/postgresql", None, None)]),
    ("postgresql://%2Fvar%2Frun%2Fpostgresql:7/d", [("/var/run/postgresql", 7, None)]),
    ("postgresql://[::1]:7,[fe80::1%25eth0]/d", [("::1", 7, None), ("fe80::1%eth0", None, None)]),
    ("postgresql:///d?host=::1", [("::1", None, None)]),
    ("postgresql://", [(None, None, None)]),
    ("postgresql://h/d?target_session_attrs=read-write", [("h", None, "read-write")]),
    (
        "postgresql://a,b/d?target_session_attrs=prefer-standby",
        [("a", None, "standby"), ("b", None, "standby"), ("a", None, "any"), ("b", None, "any")],
    ),
]


@pytest.mark.parametrize(("url", "targets"), TARGETS)
def test_hosts_are_tried_in_order_each_with_its_port(
    url: str, targets: list[object], attempts: Attempts
) -> None:
    """As libpq does, however the hosts are written; and a URL that is written again means the same."""
    try_to_connect(url)
    assert attempts.targets == targets
    attempts.clear()
    try_to_connect(parse_url(url).render_as_string(hide_password=False))
    assert attempts.targets == targets


def test_parameters_reach_the_driver_with_libpq_s_meaning(attempts: Attempts) -> None:
    """Files and modes in its own URL, the server's settings as such, and a + is no space."""
    try_to_connect(
        "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/a%20b/r+t.crt&application_name=x"
        "&options=-c%20search_path%3Dops&connect_timeout=3&channel_binding=prefer&dbname=other"
    )
    [asked] = attempts
    assert asked["dsn"] == "postgresql://?sslmode=verify-full&sslrootcert=%2Fa+b%2Fr%2Bt.crt"
    assert asked["server_settings"] == {"application_name": "x", "options": "-c search_path=ops"}
    assert (asked["timeout"], asked["database"], asked["ssl"]) == (3, "other", None)
    try_to_connect("postgresql://h/d?connect_timeout=0&ssl=true")
    assert (attempts[1]["timeout"], attempts[1]["dsn"]) == (None, "postgresql://?sslmode=require")
    try_to_connect("postgresql://h/d?sslrootcert=system")
    assert (attempts[2]["ssl"], attempts[2]["dsn"]) == (True, "postgresql://?")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("hostaddr=127.0.0.1", "'hostaddr', which is not supported; accepted are application_name"),
        ("search_path=ops", "write settings of the server as options=-c%20name=value"),
        ("service=prod", "'service', which is not supported"),
        ("sslmode=on", "accepted: disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslmode=require&sslrootcert=system", "verify-full and no sslcert"),
        ("channel_binding=require", "accepted: disable, prefer"),
        ("target_session_attrs=master", "accepted: any, read-write"),
        ("connect_timeout=soon", "whole seconds"),
        ("prepared_statement_cache_size=100", "accepted: 0"),
        ("port=0", "from 1 to 65535"),
        ("port=1,2", "one port from 1 to 65535 for each of its hosts"),
        ("port=99999999999999999999", "from 1 to 65535"),
        ("sslmode", "not name=value"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(parameters: str, said: str) -> None:
    """Law 10: before any connection is tried, with what would be accepted."""
    with pytest.raises(DatabaseError, match=re.escape(said)) as caught:
        parse_url(f"postgresql://me:hidden-word@h/d?{parameters}")
    assert "hidden-word" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text), st.booleans())
def test_any_password_arrives_and_is_never_shown(password: str, in_query: bool) -> None:
    """Percent-encoded it is what was meant, before the host or as a parameter; messages mask it."""
    secret = quote(f"{password}-hidden", safe="", errors="surrogatepass")
    url = f"postgresql://u@h/d?password={secret}" if in_query else f"postgresql://u:{secret}@h/d"
    parsed = parse_url(f"{url}{'&' if in_query else '?'}sslpassword={secret}")
    if password.isprintable():
        assert parsed.password == f"{password}-hidden"
    assert "hidden" not in Database(f"{url}").shown_url


@given(st.text(st.sampled_from("ab@:/?#%=&,[] "), max_size=12))
def test_a_password_written_as_it_is_gives_a_url_or_one_error(password: str) -> None:
    """Whatever is not encoded, no message holds the end of it and nothing but DatabaseError is raised."""
    said = ""
    try:
        parse_url(f"postgresql://u:{password}#hidden@h/d")
    except DatabaseError as error:
        said = str(error)
    assert "hidden" not in said


def test_a_driver_s_refusal_is_one_line() -> None:
    """A file that is missing, or a host that is no name, is told like any other failure."""
    for parameters, said in [
        ("@h/d?sslmode=verify-ca&sslrootcert=/none", "No such file"),
        (f"@{'x' * 70}/d", "label"),
    ]:
        database = Database(f"postgresql://u:hidden-word{parameters}")
        with pytest.raises(DatabaseUnreachable, match=said) as caught:
            asyncio.run(database.revision())
        assert "hidden-word" not in str(caught.value)


def test_the_page_lists_every_parameter(repository: Path) -> None:
    """docs/databases.md names what is accepted, and nothing else."""
    page = (repository / "docs" / "databases.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == ACCEPTED
