"""The sections of a postmortem that memory can use, under the headings that people give them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAMES = {
    "summary": r"(?:executive |incident )?summary|overview|tl;?dr|what happened|description|abstract",
    "symptoms": r"symptoms?|detection|what (?:was|we) (?:observed|saw)",
    "impact": r"(?:customer |user |business )?impact",
    "root_cause": r"(?:probable |likely )?root[ -]?causes?(?: analysis)?|causes?|rca|why it happened",
    "resolution": (
        r"resolutions?|mitigations?|fix(?:es)?|remediations?|recovery|solution"
        r"|how (?:it was|we) fixed(?: it)?"
        r"|(?:resolution|mitigation)s?(?: and| &|/) ?(?:recovery|resolution|mitigation|remediation)"
    ),
}
_NAME = "|".join(f"(?P<{name}>{words})" for name, words in _NAMES.items())
_NUMBER = r"(?:(?:\d{1,2}|[ivx]{1,4})(?:\.\d{1,2})*[.):]? +)?"
_KNOWN = re.compile(rf"{_NUMBER}(?:{_NAME}) *[:.]?", re.IGNORECASE)
_LABEL = re.compile(
    rf"(?:[-*] +)?(\*\*|__)?{_NUMBER}(?:{_NAME}) *(?(1)(?::\1|\1 *:)|:)(?P<rest>.*)", re.IGNORECASE
)
"""`Root cause: the disk was full`, bold or not."""
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BOLD = re.compile(r"(\*\*|__)(.+?)(:?)\1(:?)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_NOTHING = re.compile(
    r"[\W_]*(?:tb[ad]|todo|n/?a|none|nothing|unknown|not (?:yet )?(?:known|recorded|determined|written)"
    r"(?: by the model)?|under investigation)?[\W_]*",
    re.IGNORECASE,
)
"""What a form holds that nobody has filled in."""
_BOLD_LEVEL = 7
"""Of a line that stands for a heading: below every heading."""
_LABEL_LEVEL = 8
"""Of a label with text after it that is not bold."""
_MAX_HEADING = 200


@dataclass(frozen=True, slots=True)
class _Heading:
    """A line that begins a section."""

    level: int
    text: str
    inside: str = ""
    """What the section begins with on the same line."""


def sections_of(markdown: str) -> dict[str, str]:
    """The text of each section that is there, by `summary`, `symptoms`, `impact`, `root_cause`, `resolution`.

    The first of a name counts. A section ends at the next heading that is no deeper.
    """
    found: dict[str, list[str]] = {}
    name, level = "", 0
    for heading, line in _lines(markdown):
        if heading is not None and _begins(heading, _named(heading.text), name, level):
            named = _named(heading.text)
            name, level = ("" if named in found else named), heading.level
            if name:
                found[name] = [heading.inside]
        elif name:
            found[name].append(line)
    texts = {name: "\n".join(lines).strip() for name, lines in found.items()}
    return {name: text for name, text in texts.items() if text and not _NOTHING.fullmatch(text)}


def _begins(heading: _Heading, named: str, inside: str, level: int) -> bool:
    """Whether a heading begins a section of its own, where a section of some name and level is going on."""
    if heading.level <= level and heading.level < _BOLD_LEVEL:
        return True
    if named == inside or not named:
        return heading.level <= level and not named
    # Below a heading `Description: ...` is text.
    return heading.level < _LABEL_LEVEL or not inside or level == _LABEL_LEVEL


def title_of(markdown: str) -> str | None:
    """The first heading, without a leading `Postmortem:`."""
    for heading, _ in _lines(markdown):
        if heading is not None and heading.level < _BOLD_LEVEL and heading.text.strip():
            words = re.sub(
                r"^(?:incident )?(?:post[ -]?mortem|report|review)(?: report)? *[:\u2013\u2014-] *",
                "",
                heading.text.strip(),
                flags=re.IGNORECASE,
            )
            return words or heading.text.strip()
    return None


def _lines(markdown: str) -> Iterator[tuple[_Heading | None, str]]:
    """Every line with the heading that it is; lines of code are none."""
    fence = ""
    lines = _LINE_END.split(markdown)
    skip = False
    for number, line in enumerate(lines):
        if skip:
            skip = False
            continue
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark.group(1).startswith(fence) and not line.strip(" `~\t") else fence
            yield None, line
        elif mark:
            fence = mark.group(1)
            yield None, line
        else:
            heading = _heading(line, lines[number + 1] if number + 1 < len(lines) else "")
            skip = heading is not None and heading.level < _BOLD_LEVEL and not line.lstrip().startswith("#")
            yield heading, line


def _heading(line: str, following: str) -> _Heading | None:
    if atx := _ATX.fullmatch(line):
        return _Heading(len(atx.group(1)), _plain(atx.group(2) or ""))
    if not line.strip() or len(line) > _MAX_HEADING * 50:
        return None
    under = _SETEXT.fullmatch(following)
    if under and len(line) <= _MAX_HEADING:
        return _Heading(1 if under.group(1).startswith("=") else 2, _plain(line))
    if label := _LABEL.fullmatch(line.strip()):
        rest = label.group("rest").strip()
        is_bold = label.group(1) is not None or not rest
        return _Heading(_BOLD_LEVEL if is_bold else _LABEL_LEVEL, _text_of(label), rest)
    bold = _BOLD.fullmatch(line.strip())
    return _Heading(_BOLD_LEVEL, bold.group(2)) if bold and _named(bold.group(2)) else None


def _text_of(label: re.Match[str]) -> str:
    return next(text for name in _NAMES if (text := label.group(name)))


def _plain(text: str) -> str:
    """A heading without bold type around it."""
    bold = _BOLD.fullmatch(text.strip())
    return bold.group(2) if bold else text.strip()


def _named(heading: str) -> str:
    """Which section a heading begins; empty for any other."""
    known = _KNOWN.fullmatch(heading.strip()) if len(heading) <= _MAX_HEADING else None
    return next((name for name in _NAMES if known and known.group(name)), "")
