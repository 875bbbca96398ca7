"""The files of docs/deploy: what they name exists, and what they promise fits together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.access.peer import is_loopback
from api.cli.commands import SUMMARIES
from api.settings import Settings


@pytest.fixture
def deploy(repository: Path) -> Path:
    return repository / "docs" / "deploy"


@pytest.fixture
def services(deploy: Path) -> dict[str, Any]:
    document = yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))
    named = {volume.partition(":")[0] for each in document["services"].values() for volume in each["volumes"]}
    assert {volume for volume in named if "/" not in volume} == set(document["volumes"])
    found: dict[str, Any] = document["services"]
    return found


@pytest.fixture
def service_settings(services: dict[str, Any]) -> Settings:
    """Those of the service, with what the shell has to give."""
    given = {
        name.removeprefix("ARCPOINT_").lower(): re.sub(r"\$\{\w+:[?-][^}]*\}", "given=given", value)
        for name, value in services["service"]["environment"].items()
    }
    assert set(given) <= set(Settings.model_fields)
    return Settings.model_validate(given)


def test_variables_and_grace_periods_are_such_as_the_service_takes(
    services: dict[str, Any], service_settings: Settings
) -> None:
    """A stop is never cut short, and several workers have what they need."""
    grace_s = int(services["service"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > service_settings.drain_s + service_settings.shutdown_s
    assert service_settings.workers > 1
    assert service_settings.memory_url == "http://chroma:8000"


def test_every_command_and_dependency_exists(services: dict[str, Any]) -> None:
    """Nothing waits for a service that is not there, or runs what the product does not have."""
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services)
        if "image" in service and service["image"] == "arcpoint" and name != "chroma":
            assert service["command"][0] in SUMMARIES


def test_the_page_makes_a_key_before_the_service_that_refuses_to_start_without(
    repository: Path, service_settings: Settings
) -> None:
    """The service listens on more than loopback, which needs a key in a database that is there."""
    page = (repository / "docs" / "deploy.md").read_text("utf-8")
    steps = [page.index(step) for step in (" migrate\n", " keys create ", " up --detach\n")]
    assert steps == sorted(steps)
    assert not is_loopback(service_settings.host)


def test_only_the_balancer_can_be_reached_and_only_from_this_machine(services: dict[str, Any]) -> None:
    """The Chroma server has no authentication."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"balancer": ["127.0.0.1:8080:80"]}


def test_the_balancer_lets_through_what_the_service_takes(deploy: Path, service_settings: Settings) -> None:
    """Neither a body nor an answer ends at nginx while the service would go on."""
    balancer = (deploy / "nginx.conf").read_text("utf-8")
    assert f"client_max_body_size {service_settings.ingest_body_mb}m;" in balancer
    patience = re.search(r"proxy_read_timeout (\d+)s;", balancer)
    assert patience is not None
    assert int(patience[1]) > service_settings.max_wait_s + service_settings.model_deadline_s


def test_the_image_copies_what_is_there(deploy: Path, repository: Path) -> None:
    """All packages, the migrations that are packed with them, and the lock."""
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (deploy / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    names = {name for line in copied for name in line.split()}
    assert {"api", "context_builder", "memory", "models", "alembic", "requirements.lock"} <= names
    assert not {name for name in names if not (repository / name).exists()}


def test_the_image_is_installed_by_hashes(deploy: Path) -> None:
    """Whatever pip installs is the lock, or the product itself without dependencies."""
    installs = re.findall(
        r"pip install (.+?)(?: \\)?$", (deploy / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    assert installs == [
        "--no-cache-dir --require-hashes -r requirements.lock",
        "--no-cache-dir --no-deps .",
    ]
