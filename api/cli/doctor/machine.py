"""What the machine and the settings say: variables, disks, and what may leave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from api.cli.doctor.finding import Finding, ok, problem, warning
from api.settings import Settings, trace_address, unknown_variables
from models.database import parse_url

_LITTLE, _HARDLY_ANY = 2 * 2**30, 200 * 2**20
"""Free bytes."""
_GIB = 2**30


def check_settings(settings: Settings) -> Finding:
    """Report variables that nothing reads."""
    if unknown := unknown_variables():
        return warning(
            "settings",
            f"{', '.join(unknown)}: no setting has this name, so it has no effect",
            "correct or unset it; docs/settings.md lists all",
        )
    changed = len(settings.model_fields_set)
    return ok("settings", f"{changed} set, all others have their defaults")


def check_disks(settings: Settings) -> list[Finding]:
    """Report the room where this product writes. Reads the disk."""
    return list(_disks(settings))


def _disks(settings: Settings) -> Iterator[Finding]:
    folders = {"risk models": settings.risk_path}
    if settings.memory_url is None:
        folders["memory"] = settings.memory_path
    if settings.database_url.startswith("sqlite"):
        folders["database"] = Path(parse_url(settings.database_url).database or "").parent
    for name, folder in sorted(folders.items()):
        there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / _GIB:.1f} GiB free in {there} for {name}"
        fix = "make room, or move it: docs/settings.md names the variable"
        if free < _HARDLY_ANY:
            yield problem("disk", text, fix)
        elif free < _LITTLE:
            yield warning("disk", text, fix)
        else:
            yield ok("disk", text)


def check_egress(settings: Settings) -> Finding:
    """Report what leaves this machine by the settings."""
    if settings.egress == "off":
        return ok("egress", "off: no model is called, the proxy does not start, traces stay on this machine")
    leaves = []
    if settings.no_model_reason is None:
        leaves.append(f"prompts to {settings.anthropic_base_url or 'the API'}")
    if settings.proxy_mounted:
        leaves.append(f"proxied requests to {settings.proxy_upstream_url}")
    if settings.tracing == "on":
        leaves.append(f"traces to {urlsplit(trace_address()).netloc.rpartition('@')[2]}")
    return ok("egress", f"on: {', '.join(leaves) or 'nothing leaves by these settings'}")
