"""The template of a postmortem: its sections, and who writes each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from context_builder.errors import ContextBuilderError

MODEL = "model"
CODE_SECTION_NAMES = (
    "summary", "impact", "timeline", "root_cause", "trigger", "detection", "resolution", "action_items",
    "similar", "blind_spots", "evidence",
)  # fmt: skip
"""What code can write, as in `code:impact`."""
SHIPPED = Path(__file__).with_name("templates")
DEFAULT = "default"

MAX_SECTIONS = 20
MAX_ASKED = 12
"""The most sections that the model writes: they all have to fit into one question."""
MAX_TITLE = 60
MAX_HINT = 120
_CODE = "code:"
_TITLE = re.compile(rf"[^\W_][\w ,&'/().-]{{0,{MAX_TITLE - 1}}}")
_HINT = re.compile(rf"[\w ,.;:&'/()%?-]{{0,{MAX_HINT}}}")
_KEYS = ("title", "by", "hint")
_ACCEPTED = f"accepted are {MODEL!r} and {', '.join(f'{_CODE}{part}' for part in CODE_SECTION_NAMES)}"


class TemplateError(ContextBuilderError, ValueError):
    """The template cannot be used; one line names the file, the key and what is accepted."""


@dataclass(frozen=True, slots=True)
class SectionTemplate:
    """One section: its heading and its writers, in this order."""

    title: str
    writers: tuple[str, ...]
    """`model`, or a name of CODE_SECTION_NAMES."""
    hint: str = ""
    """What the model is asked for."""

    @property
    def by_model(self) -> bool:
        """True if the model writes in it."""
        return MODEL in self.writers


@dataclass(frozen=True, slots=True)
class Template:
    """The sections of a postmortem, in order."""

    name: str
    sections: tuple[SectionTemplate, ...]

    @property
    def asked(self) -> tuple[SectionTemplate, ...]:
        """The sections that the model writes; at least one."""
        return tuple(section for section in self.sections if section.by_model)


def load_template(name: str) -> Template:
    """Load a shipped template by name, or the user's from a file that ends in .toml. Blocks.

    Raises:
        TemplateError: there is none of this name, or the file is not a valid template.
    """
    if name.endswith(".toml"):
        path = Path(name)
    else:
        known = sorted(each.stem for each in SHIPPED.glob("*.toml"))
        if name not in known:
            accepted = f"accepted are {', '.join(known)} and the path of a .toml file"
            raise TemplateError(f"there is no template {name!r:.60}; {accepted}")
        path = SHIPPED / f"{name}.toml"
    try:
        return Template(path.stem[:100], tuple(_sections(_read(path))))
    except ValueError as error:
        raise TemplateError(f"{path}: {' '.join(str(error).split())}") from None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not TOML: {error}") from None


def _sections(document: Mapping[str, Any]) -> Iterator[SectionTemplate]:
    for key in document:
        if key != "sections":
            raise ValueError(f"{key:.60}: unknown key; accepted is [[sections]]")
    entries = document.get("sections")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SECTIONS:
        raise ValueError(f"sections: expected 1 to {MAX_SECTIONS} tables [[sections]]")
    plans = [_section(f"sections[{number}]", entry) for number, entry in enumerate(entries, start=1)]
    seen: dict[str, int] = {}
    for number, plan in enumerate(plans, start=1):
        first = seen.setdefault(plan.title.casefold(), number)
        if first != number:
            raise ValueError(
                f"sections[{number}].title: {plan.title!r} is also the title of sections[{first}]"
            )
    asked = sum(plan.by_model for plan in plans)
    if not 1 <= asked <= MAX_ASKED:
        raise ValueError(f"sections: {asked} have by = {MODEL!r}; accepted are 1 to {MAX_ASKED}")
    yield from plans


def _section(where: str, entry: Any) -> SectionTemplate:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a table with {', '.join(_KEYS)}")  # noqa: TRY004 - bad data, not a bad call
    for key in entry:
        if key not in _KEYS:
            raise ValueError(f"{where}.{key:.60}: unknown key; accepted are {', '.join(_KEYS)}")
    title = entry.get("title")
    if not isinstance(title, str) or not _TITLE.fullmatch(title.strip()):
        raise ValueError(
            f"{where}.title: expected 1 to {MAX_TITLE} letters, digits and spaces, not {title!r:.60}"
        )
    writers = tuple(_writers(where, entry.get("by")))
    hint = entry.get("hint", "")
    if not isinstance(hint, str) or not _HINT.fullmatch(hint):
        expected = f"expected one line of at most {MAX_HINT} letters, digits and plain punctuation"
        raise ValueError(f"{where}.hint: {expected}, not {hint!r:.60}")
    return SectionTemplate(title.strip(), writers, hint.strip())


def _writers(where: str, given: Any) -> Iterator[str]:
    names = given if isinstance(given, list) else [given]
    if not names or len(names) != len({str(name) for name in names}):
        raise ValueError(f"{where}.by: expected one writer or a list of distinct ones; {_ACCEPTED}")
    for name in names:
        part = name.removeprefix(_CODE) if isinstance(name, str) else ""
        if name != MODEL and (part == name or part not in CODE_SECTION_NAMES):
            raise ValueError(f"{where}.by: {name!r:.60} is not a writer; {_ACCEPTED}")
        yield part
