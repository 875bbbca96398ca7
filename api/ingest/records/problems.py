"""What is wrong with a record, in sentences; the only place that reads Pydantic's own errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from api.errors import ArcpointApiError

NO_ZONE = "a time without a zone"
NO_UNIT = "a number without a unit"
NO_FORMAT = "a time without a format"
OTHER_SIGN = "not a number with the signs that are stated"
UNKNOWN_VALUE = "unknown value"

_MAX_EXCERPT = 60
_VALUE_PROBLEM = "value_problem"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of one record."""

    field: str
    kind: str
    """A few words that do not depend on the value, so that they can be counted."""
    detail: str = ""
    """The value, and what is accepted instead."""
    setting: str = ""
    """Setting of a mapping that would help; `{field}` in it is the field."""

    @property
    def label(self) -> str:
        """Field and kind, for example `status: unknown value`."""
        return f"{self.field}: {self.kind}"

    @property
    def reason(self) -> str:
        """All but the field."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class RecordInvalid(ArcpointApiError):
    """A record is not acceptable."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)
        """One for each field that is wrong."""


class ValueProblem(PydanticCustomError):
    """A value is not acceptable; raised by parsers, inside a model and on their own."""

    kind: str
    detail: str
    setting: str

    def __new__(cls, kind: str, detail: str = "", setting: str = "") -> Self:
        """Create the error from a FieldProblem's kind, detail and setting."""
        template = "{kind}: {detail}" if detail else "{kind}"
        error = super().__new__(
            cls, _VALUE_PROBLEM, template, {"kind": kind, "detail": detail, "setting": setting}
        )
        error.kind, error.detail, error.setting = kind, detail, setting
        return error


def problems_of(error: ValidationError) -> tuple[FieldProblem, ...]:
    """Return one problem for each field that failed validation."""
    failures = error.errors(include_url=False)
    return tuple(
        FieldProblem(".".join(map(str, each["loc"])) or "record", *_sentence(each)) for each in failures
    )


def _sentence(failure: ErrorDetails) -> tuple[str, ...]:
    """Return kind and detail, and the setting that would help, if one would."""
    value, context = failure["input"], failure.get("ctx", {})
    shown = excerpt(value)
    if value is None:
        return "missing", ""
    match failure["type"]:
        case "missing":
            sentence = "missing", ""
        case "string_too_long":
            accepted = f"at most {context['max_length']:,} are accepted"
            sentence = "too long", f"{len(value):,} characters, {accepted}"
        case "string_unicode":
            sentence = "unstorable character", f"{shown} holds half of a surrogate pair"
        case "string_type":
            sentence = "not text", shown
        case "enum":
            accepted = context["expected"].replace("'", "").replace(" or ", ", ")
            sentence = UNKNOWN_VALUE, f"{shown}; accepted are {accepted}"
        case "value_problem":
            return context["kind"], context["detail"], context["setting"]
        case _:
            sentence = failure["msg"], shown
    return sentence


def excerpt(value: object) -> str:
    """Return a value as a message shows it: quoted, escaped and short."""
    text = str(value)
    return repr(text if len(text) <= _MAX_EXCERPT else text[:_MAX_EXCERPT] + "…")
