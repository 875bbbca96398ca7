"""Every operation of the OpenAPI description, as schemathesis draws requests from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test

from api.cli.loop_thread import LoopThread
from api.http.routes import risk
from tests.support.http_service import client_of, running, settings_of

CONFIG = SchemathesisConfig.from_dict(
    {
        # A value of the right shape may name nothing, be an empty window, or be for another receiver.
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "409", "422"]},
            # Without keys this machine is served, whatever it sends; test_roles asks with and without them.
            "ignored_auth": {"enabled": False},
        },
        "generation": {"deterministic": True, "database": "none"},
    }
)
SETTINGS = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
PARTS = 4
"""Tests that have an equal share of the operations, so that they run side by side."""
Case = schemathesis.Case[Any]
Send = Callable[[Case], httpx.Response]


@schemathesis.serializer("application/x-ndjson")
def lines(_: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    with LoopThread() as loop:
        yield loop


@pytest.fixture
def app(
    loop: LoopThread, sqlite_story_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FastAPI]:
    monkeypatch.setattr(risk, "EVENTS_S", 0.0)
    with loop.entered(running(settings_of(sqlite_story_url, tmp_path))) as app:
        loop.run(app.state.services.memory.maintenance.process_outbox())
        yield app


@pytest.fixture
def send(loop: LoopThread, app: FastAPI) -> Iterator[Send]:
    """Sends a case to the service, on the loop of the service."""
    with loop.entered(client_of(app)) as client:

        def run(case: Case) -> httpx.Response:
            given = case.as_transport_kwargs(base_url="http://localhost")
            drawn: Any = requests.Request(
                **{name: value for name, value in given.items() if name != "timeout"}
            ).prepare()
            headers = dict(drawn.headers)
            return loop.run(client.request(drawn.method, drawn.url, content=drawn.body, headers=headers))

        yield run


@pytest.mark.long
@pytest.mark.parametrize("examples", [4, pytest.param(300, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_operation_keeps_to_its_description(
    app: FastAPI, send: Send, part: int, examples: int, subtests: pytest.Subtests
) -> None:
    """No fault of ours, and status, content type and body as the description has them."""
    described = schemathesis.openapi.from_dict(app.openapi(), config=CONFIG)

    def conforms(case: Case) -> None:
        case.validate_response(send(case))

    config = HypothesisTestConfig(
        project=described.config,
        modes=list(HypothesisTestMode),
        settings=settings(SETTINGS, max_examples=examples),
    )
    operations: list[Any] = [each.ok() for each in described.get_all_operations()]  # type: ignore[union-attr]
    assert operations
    for operation in operations[part::PARTS]:
        with subtests.test(operation.label):
            create_test(operation=operation, test_func=conforms, config=config)()
