"""Polling on the command line: once, in the background of a service, and not at all without egress."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.pollers.conftest import incident, page
from tests.loopback.raw_upstream import raw_upstream, whole
from tests.support.command_line import Run
from tests.support.http_service import ServiceProcess, settings_of, without_memory
from tests.support.patience import PATIENCE_S


@pytest.fixture
def poll_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a page that nobody serves."""
    path = tmp_path / "poll.toml"
    path.write_text('[[status_page]]\nbackend = "aws"\nurl = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("ARCPOINT_POLL_FILE", str(path))
    return path


def test_a_poll_says_what_came_of_it(arcpoint: Run, poll_file: Path) -> None:
    """A target that fails is shown with its reason and an exit code; the state stays for later."""
    assert "nothing has been polled" in arcpoint("poll", "status").out
    failed = arcpoint("poll", "--once")
    assert failed.code == 1
    assert "status_page aws" in failed.out
    assert "STALE" in failed.out
    (report,) = json.loads(arcpoint("poll", "status", "--json").out)["pollers"]
    assert (report["failures"], report["error"].partition(":")[0]) == (1, "no answer")
    poll_file.write_text("[[pages]]\n")
    assert arcpoint("poll", "--once").err == (
        f"arcpoint: {poll_file}: 'pages' is unknown; accepted are tables [[status_page]], [[model_server]], "
        "[[litellm]]\n"
    )


def test_without_egress_nothing_can_be_polled(
    arcpoint: Run, poll_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command refuses, and says which variable forbids it; so it does without a file."""
    monkeypatch.setenv("ARCPOINT_EGRESS", "off")
    refused = arcpoint("poll", "--once")
    assert (refused.code, refused.err) == (2, "arcpoint: ARCPOINT_EGRESS=off: nothing is polled\n")
    assert "ARCPOINT_EGRESS=off: nothing is polled" in arcpoint("poll", "status").out
    monkeypatch.setenv("ARCPOINT_EGRESS", "on")
    monkeypatch.delenv("ARCPOINT_POLL_FILE")
    assert "ARCPOINT_POLL_FILE is not set" in arcpoint("poll").err


@pytest.mark.process
@pytest.mark.parametrize("egress", ["on", "off"])
async def test_a_service_polls_in_the_background(sqlite_url: str, tmp_path: Path, egress: str) -> None:
    """It says so when it starts, and shows what it found; without egress it asks nobody."""
    async with raw_upstream() as upstream:
        upstream.default = whole(page(incident()))
        path = tmp_path / "poll.toml"
        path.write_text(f'[[status_page]]\nbackend = "aws"\nurl = "{upstream.url}"\nevery_s = 1\n')
        settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path))
        environment = {"ARCPOINT_POLL_FILE": str(path), "ARCPOINT_EGRESS": egress}
        async with ServiceProcess(settings, environment) as service, service.client() as client:
            if egress == "off":
                assert service.output[-1] == "ARCPOINT_EGRESS=off: nothing is polled"
                body = (await client.get("/v1/pollers")).json()
                assert body == {"pollers": [], "reason": "ARCPOINT_EGRESS=off: nothing is polled"}
                assert not upstream.requests
                return
            assert service.output[-1] == f"It polls what {path} lists"
            await upstream.until(lambda: len(upstream.requests) > 1, PATIENCE_S)
            found = (await client.get("/v1/pollers")).json()["pollers"]
            assert (found[0]["health"], found[0]["summary"]) == ("ok", "All Systems Operational")
            active = (await client.get("/v1/incidents/active")).json()["incidents"]
            assert [each["target"] for each in active] == ["aws"]
