"""The last lines of every answer: what it does not take into account, and how words were understood. Pure.

They are written in code, so that they stand below an answer whatever its model wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from context_builder.prompt.manifest import Manifest

MAX_LINE = 160
"""Characters of a line that is read in the middle of an outage."""
MAX_LINES_OF_ONE_KIND = 2
"""The rest is in the manifest."""
_REST = "and others"


def closing_lines(manifest: Manifest) -> list[str]:
    """Return the lines, each of at most MAX_LINE characters; none if there is nothing to say."""
    return [
        *folded("Not used of the question: ", [f"“{p.text}” ({p.reason})" for p in manifest.not_used]),
        *folded("Unknown name: ", [unknown_name(one.name, one.near) for one in manifest.unknown_names]),
        *folded("Read as: ", manifest.notes),
    ]


def closing_text(manifest: Manifest) -> str:
    """Return the lines as paragraphs to append to an answer; empty if there is nothing to say."""
    return "".join(f"\n\n{line}" for line in closing_lines(manifest))


def unknown_name(name: str, near: Sequence[str]) -> str:
    """Return a name that is not known, with those that are spelled alike."""
    return f"{name} (similar: {', '.join(near)})" if near else name


def folded(title: str, parts: Sequence[str], most: int = MAX_LINES_OF_ONE_KIND) -> Iterator[str]:
    """Yield at most `most` lines of as many whole parts as fit; a long part is shortened."""
    room = MAX_LINE - len(title) - len(f"; {_REST}.")
    lines: list[str] = []
    for part in parts:
        whole = part if len(part) <= room else f"{part[: room - 2].rstrip()} …"
        if lines and len(lines[-1]) + len(f"; {whole}") <= room:
            lines[-1] += f"; {whole}"
        elif len(lines) < most:
            lines.append(whole)
        else:
            lines[-1] += f"; {_REST}"
            break
    yield from (f"{title}{line}." for line in lines)
