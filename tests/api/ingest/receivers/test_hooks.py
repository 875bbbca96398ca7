"""GitHub and CloudEvents: deployments elsewhere are jobs here, each once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from api.ingest.live.message import Decoded
from api.ingest.records import ChangeRecord, JobRecord
from tests.api.ingest.receivers.conftest import of_type

Decode = Callable[..., Decoded]
EVENT = {
    "specversion": "1.0",
    "id": "deploy-1",
    "source": "https://ci.example/42",
    "type": "dev.cdevents.service.upgraded.0.2.0",
    "subject": "gpt-4/aws",
    "time": "2026-11-29T12:00:00Z",
    "data": {"artifactId": "pkg:oci/vllm@v2", "secret": {"deep": [1]}},
}


def github(state: str) -> bytes:
    created, updated = "2026-11-29T12:00:00Z", "2026-11-29T12:05:00Z"
    event = {
        "deployment_status": {"state": state, "updated_at": updated, "description": "boom"},
        "deployment": {"id": 7, "created_at": created, "environment": "production", "ref": "v2"},
        "repository": {"full_name": "octo/gateway"},
        "sender": {"login": "octocat"},
    }
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("state", "status"),
    [("queued", "queued"), ("in_progress", "running"), ("success", "succeeded"), ("error", "failed")],
)
def test_a_state_of_a_deployment_is_one_of_its_job(decode: Decode, state: str, status: str) -> None:
    """All states are of one job; only one that failed has an error."""
    (job,) = of_type(decode("github", github(state)), JobRecord)
    found: Any = job
    assert (found.id, found.status, found.target) == ("gh_7", status, "octo/gateway")
    assert (found.error, found.finished_at is not None) == (
        "boom" if status == "failed" else None,
        status in ("succeeded", "failed"),
    )
    assert decode("github", github("inactive")).skipped == {"state without a job": 1}
    assert decode("github", b"{}", x_github_event="ping").skipped == {"another event": 1}


def test_both_modes_of_cloudevents_say_the_same(decode: Decode) -> None:
    """In headers or in the body, one event has one id; in a batch each is one."""
    structured = decode(
        "cloudevents", json.dumps(EVENT).encode(), content_type="application/cloudevents+json"
    )
    headers = {f"ce_{name}": str(EVENT[name]) for name in ("id", "source", "type", "subject", "time")}
    binary = decode("cloudevents", json.dumps(EVENT["data"]).encode(), **headers)
    assert of_type(structured, JobRecord) == of_type(binary, JobRecord)
    (job,) = of_type(binary, JobRecord)
    assert (job.target, job.detail, job.status) == ("gpt-4/aws", "pkg:oci/vllm@v2", "succeeded")  # type: ignore[attr-defined]
    other = EVENT | {"type": "com.example.flag", "id": "2"}
    batch = decode("cloudevents", json.dumps([other, {"id": "3"}, EVENT]).encode())
    assert [index for index, _ in batch.records] == [0, 2]
    assert len(of_type(batch, ChangeRecord)) == 1
    assert [each.index for each in batch.rejects] == [1]


def test_the_recordings_are_the_rollouts_that_they_report(
    decode: Decode, recording: Callable[[str], bytes]
) -> None:
    """One job of GitHub's, and the same job in both modes of CloudEvents."""
    assert len(of_type(decode("github", recording("github_deployment_status")), JobRecord)) == 1
    found = []
    for mode in ("structured", "binary"):
        sent = json.loads(recording(f"cloudevents_{mode}"))
        body = json.dumps(sent["body"]).encode()
        found += of_type(decode("cloudevents", body, **sent["headers"]), JobRecord)
    assert len(found) == 2
    assert found[0] == found[1]
