"""All sources with deadlines that no test reaches, for tests in which the deadline is not the subject."""

from __future__ import annotations

from dataclasses import replace

from context_builder.sources import discover

SOURCES = [replace(source, deadline_s=300.0) for source in discover()]
