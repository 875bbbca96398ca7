"""What a release says it consists of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"^([\w.-]+)==(\S+?)(?: \\)?$", re.MULTILINE)


def _pins(name: str) -> dict[str, str]:
    return {canonicalize_name(each): version for each, version in _PIN.findall((ROOT / name).read_text())}


def test_the_lock_has_what_is_tested_and_all_that_is_needed() -> None:
    """The lock pins every dependency of a deployment, to the versions that the tests run with."""
    locked, tested = _pins("requirements.lock"), _pins("constraints.txt")
    assert locked.items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [
        each for name, extra in project["optional-dependencies"].items() if name != "dev" for each in extra
    ]
    wanted = [Requirement(each) for each in (*project["dependencies"], *extras)]
    assert [
        each.name
        for each in wanted
        if not each.specifier.contains(locked[canonicalize_name(each.name)], prereleases=True)
    ] == []


def test_nothing_is_needed_that_the_lock_does_not_have() -> None:
    """With `--require-hashes` pip installs nothing else: setuptools, which torch needs, was missing."""
    locked = _pins("requirements.lock")
    needed = {
        (each.name, canonicalize_name(wanted.name))
        for each in metadata.distributions()
        if canonicalize_name(each.name) in locked
        for wanted in map(Requirement, each.requires or ())
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""})
    }
    assert len(needed) > len(locked) / 2
    assert {(name, wanted) for name, wanted in needed if wanted not in locked} == set()


def test_every_pin_of_the_lock_has_a_hash() -> None:
    """A package cannot be exchanged without its hash failing: pip refuses a lock with one pin unhashed."""
    pins = re.split(r"\n(?=[\w.-]+==)", (ROOT / "requirements.lock").read_text())
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.process
def test_the_bill_of_materials_lists_the_lock(tmp_path: Path) -> None:
    """The CycloneDX document names every pin of the lock, with its version and its hashes."""
    document = tmp_path / "arcpoint.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--no-validate"]
    subprocess.run(
        [*command, "--pyproject", "pyproject.toml", "-o", str(document), "requirements.lock"],
        cwd=ROOT,
        check=True,
    )
    bill = json.loads(document.read_text())
    assert {each["name"]: each["version"] for each in bill["components"]} == _pins("requirements.lock")
    assert bill["metadata"]["component"]["name"] == "arcpoint"
    assert all(each["externalReferences"] for each in bill["components"])
