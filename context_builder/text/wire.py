"""How results appear on the wire: their dataclasses are the bodies that HTTP clients and `--json` get."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, PlainSerializer

WIRE = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)
"""Of an outermost body, and so of the dataclasses in it: attribute docstrings become descriptions."""

Usd = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", return_type=str)]
"""US dollars, exact, as text; never in scientific notation, which is how Python writes tiny amounts."""

Share = Annotated[Decimal, PlainSerializer(float, return_type=float)]
"""A share of a whole, 1 for all of it, as a JSON number."""
