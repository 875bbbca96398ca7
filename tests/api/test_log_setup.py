"""Log lines on standard error, in both formats."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from api.log_setup import LogFormat, configure_logging

pytestmark = pytest.mark.usefixtures("logging_as_before")


def fail() -> None:
    password = "hunter22"
    raise ValueError(f"{len(password)} letters\nand a second line")


def log_a_fault(logger: str) -> None:
    try:
        fail()
    except ValueError as error:
        structlog.get_logger(logger).error("it broke", exc_info=error)


def test_json_lines_hold_one_event_each_whoever_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours from INFO on, libraries' from WARNING on, all with the request that they belong to."""
    configure_logging("json")
    with bound_contextvars(request_id="r1"):
        structlog.get_logger("api.test").info("done", path="/v1/query", text='line\n"two" ü')
        logging.getLogger("uvicorn.error").warning("slow %s", "client")
        logging.getLogger("uvicorn.error").info("noise")
        structlog.get_logger("api.test").debug("noise")
    ours, library = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["text"], ours["level"]) == ("done", 'line\n"two" ü', "info")
    assert (library["event"], library["logger"], library["level"]) == (
        "slow client",
        "uvicorn.error",
        "warning",
    )
    assert ours["request_id"] == library["request_id"] == "r1"
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_code_but_no_values(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """Local variables can be secrets."""
    configure_logging(log_format)
    log_a_fault("api.test")
    logged = capsys.readouterr().err
    assert "in fail" in logged
    assert "8 letters" in logged
    assert logged.count("hunter22") == 0
    assert (len(logged.splitlines()) == 1) == (log_format == "json")


def test_the_servers_copy_of_a_logged_fault_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is logged once, with its request's id; other errors of the server are kept."""
    configure_logging("json")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\n")
    logging.getLogger("uvicorn.error").error("cannot bind")
    (kept,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert kept["event"] == "cannot bind"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_is_logged_whoever_logs_it(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law 7: in messages, values, values by their name, objects and tracebacks, of ours and of libraries."""
    configure_logging(log_format)
    secret = "Xy7hunter22"
    text = f"password={secret}"
    try:
        raise ValueError(text)  # noqa: TRY301  so that there is a traceback
    except ValueError as error:
        structlog.get_logger("api.test").error(text, api_key=secret, rows=[text], reason=error, exc_info=True)
    logging.getLogger("asyncpg").warning("cannot connect with %s", text)
    logged = capsys.readouterr().err
    assert logged.count("<SECRET:password:") == 5
    assert logged.count("<SECRET:api-key:") == 1
    assert secret not in logged


@pytest.mark.parametrize(("error", "lines"), [(asyncio.CancelledError(), 0), (ValueError("lost"), 1)])
def test_a_connection_that_a_cancelled_task_gives_back_is_no_failure(
    error: BaseException, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pool closes it, and logs as it does for a connection that is lost."""
    configure_logging("json")
    pool = logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool")
    pool.error("Exception during reset or similar", exc_info=error)
    assert len(capsys.readouterr().err.splitlines()) == lines
