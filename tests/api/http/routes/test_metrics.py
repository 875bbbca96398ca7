"""`GET /metrics`: it counts what responses say, and nobody can make it grow."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.metrics.families import Families
from tests.loopback.messages_api import Fail, MessagesApi
from tests.support.http_service import QUESTION
from tests.support.kinds_of_records import EXAMPLES
from tests.support.scrapes import Scrape, parsed, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-0f3b"
JSON = {"content-type": "application/json"}
PROMTOOL = shutil.which("promtool")


async def scrape(client: httpx.AsyncClient) -> Scrape:
    response = await client.get("/metrics")
    assert response.status_code == 200
    return parsed(response.text)


def risen(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return round(value(after, name, **labels) - value(before, name, **labels), 9)


async def test_a_question_is_counted_as_its_manifest_and_usage_say(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """Sources by status, facts by detail, bound and reported tokens, cost, recall, outcome."""
    before = await scrape(client)
    # Of a past moment, so that nothing of it was read for an earlier question.
    body = {"question": QUESTION, "as_of": "2026-11-20T08:00:00Z", "token_budget": 2000}
    answer = (await client.post("/v1/query", json=body)).json()
    after = await scrape(client)
    manifest, usage = answer["manifest"], answer["usage"]
    for source in manifest["sources"]:
        labels = {"source": source["name"]}
        assert risen(before, after, "source_reads_total", **labels, status=source["status"]) == 1, source
        assert risen(before, after, "source_read_seconds_count", **labels) == 1
    details = Counter(fact["detail"] for fact in manifest["facts"])
    assert details["cut"]
    for detail, count in details.items():
        assert risen(before, after, "facts_total", detail=detail) == count
    assert risen(before, after, "prompt_bound_tokens_total") == manifest["token_bound"]
    prompt = sum(usage[f"{kind}_tokens"] for kind in ("input", "cache_read", "cache_write"))
    assert risen(before, after, "prompt_bound_used_sum") == round(prompt / manifest["token_bound"], 9)
    assert risen(before, after, "prompt_bound_used_bucket", le="1.0") == 1
    assert risen(before, after, "model_tokens_total", kind="output") == usage["output_tokens"]
    assert Decimal(str(risen(before, after, "model_cost_usd_total"))) == Decimal(answer["cost_usd"])
    assert risen(before, after, "model_calls_total", outcome="complete") == 1
    assert risen(before, after, "questions_total", outcome="answered") == 1
    assert risen(before, after, "recall_seconds_count") == 1
    assert value(after, "database_up") == value(after, "workers") == 1


async def test_calls_and_questions_are_counted_by_how_they_ended(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """A failed call costs nothing and makes a brief; what cannot be asked is refused."""
    messages_api.always(Fail(status=529))
    before = await scrape(client)
    await client.post("/v1/query", json={"question": QUESTION})
    assert (await client.post("/v1/query", json={"question": "?\x00"})).status_code == 422
    after = await scrape(client)
    assert risen(before, after, "model_calls_total", outcome="refused") == 1
    assert risen(before, after, "model_cost_usd_total") == 0
    assert risen(before, after, "questions_total", outcome="brief") == 1


async def test_a_post_is_counted_as_its_receipt_says(client: httpx.AsyncClient) -> None:
    """Items by way and outcome, the commit, and the time of the newest event, which never moves back."""
    items = [
        EXAMPLES["requests"] | {"id": "m1", "created_at": "2026-11-20T07:00:00Z"},
        EXAMPLES["requests"] | {"id": "m2", "created_at": "2026-11-20T06:00:00Z"},
        {"id": "m3"},
    ]
    before = await scrape(client)
    receipts = [(await client.post("/v1/ingest/requests", json=each)).json() for each in (items, items[1:])]
    broken = await client.post("/v1/ingest/requests", content=b"\xff", headers=JSON)
    assert broken.status_code == 400
    after = await scrape(client)
    for outcome in ("accepted", "duplicate", "rejected"):
        counted = risen(before, after, "ingest_items_total", way="requests", outcome=outcome)
        assert counted == sum(receipt[outcome] for receipt in receipts)
    assert risen(before, after, "ingest_posts_total", way="requests", outcome="stored") == 2
    assert risen(before, after, "ingest_posts_total", way="requests", outcome="BodyUnreadable") == 1
    assert risen(before, after, "ingest_commits_total", outcome="committed") == 2
    assert value(after, "ingest_last_event_timestamp_seconds", way="requests") == 1_795_158_000
    assert value(after, "ingest_queue_bytes") == 0


async def test_no_label_is_made_by_clients(client: httpx.AsyncClient, service: FastAPI) -> None:
    """Names of users, models, paths, ways and questions never reach a scrape."""
    record = EXAMPLES["requests"] | {"id": CANARY, "user": CANARY, "model": CANARY, "backend": CANARY}
    await client.post("/v1/query", json={"question": f"Is {CANARY} slow?", "user": CANARY})
    await client.post("/v1/ingest/requests", json=record)
    await client.post(f"/v1/ingest/{CANARY}", json=[])
    await client.get(f"/{CANARY}", headers={"x-request-id": CANARY})
    text = (await client.get("/metrics")).text
    assert CANARY not in text
    assert 'way="requests"' in text


def names_in(text: str) -> set[str]:
    """Metrics that a page, a rule or a panel names."""
    return {
        re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"\barcpoint_[a-z0-9_]+", text)
    }


@pytest.mark.parametrize("page", ["operations/alerts.yml", "operations/dashboard.json", "operations.md"])
async def test_every_metric_that_an_operator_is_pointed_at_is_scraped(
    client: httpx.AsyncClient, repository: Path, page: str
) -> None:
    """Rules and panels on names that do not exist are silent for ever."""
    scraped = set(
        re.findall(r"^# TYPE (\w+?)(?:_total)? ", (await client.get("/metrics")).text, re.MULTILINE)
    )
    named = names_in(await asyncio.to_thread((repository / "docs" / page).read_text, "utf-8"))
    assert len(named) > 10
    assert named - scraped == set()


async def test_the_page_has_every_metric(repository: Path) -> None:
    """What is exported is explained."""
    page = (repository / "docs" / "operations.md").read_text("utf-8")
    registry = CollectorRegistry()
    Families(registry)
    exported = {f"arcpoint_{family.name.removeprefix('arcpoint_')}" for family in registry.collect()}
    assert exported - names_in(page) == set()


@pytest.fixture
def expressions(repository: Path) -> list[str]:
    """Those of all panels, as Grafana sends them."""
    dashboard = json.loads((repository / "docs" / "operations" / "dashboard.json").read_text("utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    return [target["expr"].replace("$__rate_interval", "5m") for target in targets]


async def promtool(*arguments: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(PROMTOOL), *arguments, cwd=folder, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.process
@pytest.mark.parametrize("check", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")])
async def test_the_rules_are_valid_and_fire(repository: Path, check: tuple[str, ...]) -> None:
    """Each alert fires on what it is for, and not without it."""
    await promtool(*check, folder=repository / "docs" / "operations")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.process
async def test_prometheus_can_read_every_panel(expressions: list[str], tmp_path: Path) -> None:
    """Each is PromQL: they are checked as rules that record it."""
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    await promtool("check", "rules", "panels.yml", folder=tmp_path)


async def test_a_panel_has_one_line_however_many_replicas_there_are(expressions: list[str]) -> None:
    """Lines of several instances would have the same legend, and be told apart by nobody."""
    aggregated = re.compile(r"(time\(\) - )?(sum|max|min|histogram_quantile)\b")
    assert [each for each in expressions if not aggregated.match(each)] == []
