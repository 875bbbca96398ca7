"""What every kind of record has in common."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from api.ingest.records.fields import Name, QuantityType
from api.ingest.records.notation import ParseOptions
from api.ingest.records.problems import RecordInvalid, problems_of


class Record(BaseModel):
    """Base of the records; the names of the fields are those that mappings and receivers use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    """What a file of such records holds, for example `requests`."""
    time_field: ClassVar[str] = ""
    """Field that says when it happened; empty if it may lie ahead."""

    @classmethod
    def quantities(cls) -> dict[str, QuantityType]:
        """Return the fields that can have a unit."""
        marked: dict[str, QuantityType] = {}
        for name, info in cls.model_fields.items():
            # The mark of an optional field is one level down, in its union with None.
            inner = (getattr(each, "__metadata__", ()) for each in getattr(info.annotation, "__args__", ()))
            for mark in chain(info.metadata, *inner):
                if isinstance(mark, QuantityType):
                    marked[name] = mark
        return marked


class NamedRecord(Record):
    """Base of the records that are known by an id."""

    id_prefix: ClassVar[str]
    """Start of the ids that are made for records without one."""

    id: Name


AnyRecord = TypeVar("AnyRecord", bound=Record)


def parse_record(
    record_type: type[AnyRecord], values: Mapping[str, object], options: ParseOptions | None = None
) -> AnyRecord:
    """Return the record that the values by field name describe; None and empty text are no value.

    `model_fields_set` of the record is the names of `values`.

    Raises:
        RecordInvalid: one or more fields are not acceptable.
    """
    stated = {name: None if value == "" else value for name, value in values.items()}
    try:
        return record_type.model_validate(stated, context=options)
    except ValidationError as error:
        raise RecordInvalid(problems_of(error)) from None
