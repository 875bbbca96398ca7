"""Types of the fields of records: what each accepts, and the value that it becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from api.ingest.records.notation import Notation, ParseOptions
from api.ingest.records.parsing import EPOCH_UNITS, TimePair, parse_duration, parse_number, parse_time
from api.ingest.records.problems import ValueProblem, excerpt

NUMBER_SETTINGS = ("unit", "decimal", "thousands")
TIME_SETTINGS = (*NUMBER_SETTINGS, "format", "zone")
MAX_NAME = 100
"""Characters."""
MAX_TARGET = 200
"""Characters."""
MAX_JSON = 10_000
"""Characters of a JSON object."""
# The limits keep sums over billions of rows within 64 bits.
MAX_LATENCY_MS = 31 * 24 * 60 * 60 * 1000
MAX_COST_USD = 10_000
MAX_TOKENS = 1_000_000_000

_NANO = Decimal(1).scaleb(-9)
# PostgreSQL stores neither NUL nor half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True, eq=False)
class QuantityType:
    """Marks a field whose values can have a unit."""

    units: Mapping[str, Decimal]
    """Factor by unit."""
    parse: Callable[[Any, Notation, list[str]], Any]
    """Turns a value, written in a notation, into the field's type, with remarks. Raises ValueProblem."""
    settings: Sequence[str] = TIME_SETTINGS
    """Which settings of a notation mean something."""
    is_duration: bool = False
    """True if a TimePair is accepted too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self._validate, handler(source))

    def _validate(self, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        options: ParseOptions = info.context or ParseOptions()
        field, remarks = str(info.field_name), list[str]()
        parsed = self.parse(value, options.of(field), remarks)
        options.remarks.extend(f"{field}: {remark}" for remark in remarks)
        return parsed


def _number(
    maximum: int,
    units: Mapping[str, Decimal] | None = None,
    *,
    places: int = 0,
    whole: bool = False,
    is_duration: bool = False,
) -> QuantityType:
    """Return the type of a number from 0 to `maximum`, in the first of its units.

    It is rounded half to even to `places` digits after the point; if `whole`, a fraction is refused.
    """
    factors = units or {}
    accepted = f"at most {' '.join([f'{maximum:,}', *list(factors)[:1]])} is accepted"

    def parse(value: Any, notation: Notation, remarks: list[str]) -> Decimal:
        if isinstance(value, TimePair):
            amount = parse_duration(value, notation, remarks)
        else:
            amount = parse_number(value, notation) * (factors[notation.unit] if notation.unit else 1)
        if amount < 0:
            raise ValueProblem("negative", excerpt(value))
        if amount > maximum:
            raise ValueProblem("too large", f"{excerpt(value)}; {accepted}")
        if whole and amount != amount.to_integral_value():
            raise ValueProblem("not a whole number", excerpt(value))
        return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)

    return QuantityType(factors, parse, NUMBER_SETTINGS, is_duration)


def dollars(amount: Decimal) -> Decimal:
    """Return an amount of money to the places that are stored."""
    return amount.quantize(_NANO, ROUND_HALF_EVEN)


def storable(text: str) -> str:
    """Return the text unchanged. Raises ValueProblem if databases would refuse it."""
    if _UNSTORABLE.search(text):
        raise ValueProblem("unstorable character", f"{excerpt(text)} holds NUL")
    return text


def _named_deployment(text: str) -> str:
    """Return the text unchanged. Raises ValueProblem unless it is `model/backend`."""
    model, slash, backend = text.rpartition("/")
    if not slash or not 0 < len(model) <= MAX_NAME or not 0 < len(backend) <= MAX_NAME:
        raise ValueProblem("not a deployment", f"{excerpt(text)}; expected model/backend, as in gpt-4/aws")
    return text


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _json_object(value: Any) -> Any:
    """Return the object that a JSON text states, or the object itself, if it can be stored."""
    if value is None:
        return None
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
        canonical = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueProblem("not JSON", excerpt(value)) from None
    if len(canonical) > MAX_JSON:
        accepted = f"at most {MAX_JSON:,} are accepted"
        raise ValueProblem("too long", f"{len(canonical):,} characters, {accepted}")
    if not isinstance(parsed, dict) or _UNSTORABLE.search(canonical) or _ESCAPED_NUL.search(canonical):
        raise ValueProblem("not a JSON object that can be stored", excerpt(value))
    return parsed


_MILLISECONDS = {"ms": Decimal(1), "s": Decimal(1000), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
_DOLLARS = {"usd": Decimal(1), "cent": Decimal("0.01"), "microusd": Decimal("0.000001")}
_TEXT = AfterValidator(storable)

Name = Annotated[str, Field(max_length=MAX_NAME), _TEXT]
Target = Annotated[str, Field(max_length=MAX_TARGET), _TEXT]
DeploymentName = Annotated[str, Field(max_length=MAX_TARGET), _TEXT, AfterValidator(_named_deployment)]
"""`model/backend`."""
Title = Annotated[str, Field(max_length=1_000), _TEXT]
LongText = Annotated[str, Field(max_length=100_000), _TEXT]
AnyCase = BeforeValidator(_lower)
"""For enums, whose values are lower case."""
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
UtcTime = Annotated[datetime, QuantityType(EPOCH_UNITS, parse_time)]
Latency = Annotated[int, _number(MAX_LATENCY_MS, _MILLISECONDS, is_duration=True)]
"""Milliseconds."""
Cost = Annotated[Decimal, _number(MAX_COST_USD, _DOLLARS, places=9)]
"""US dollars."""
Budget = Annotated[Decimal, _number(1_000_000_000, _DOLLARS, places=9)]
"""US dollars."""
Tokens = Annotated[int, _number(MAX_TOKENS, whole=True)]
Rate = Annotated[int, _number(1_000_000_000, whole=True)]
"""Requests per minute."""
Score = Annotated[float, _number(1, places=9)]
Weekday = Annotated[int, _number(6, whole=True)]
"""0 is Monday."""
DayMinute = Annotated[int, _number(24 * 60, whole=True)]
