"""Dated price lists, including cache minimums, which a file of the operator can extend or override."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from context_builder.errors import ContextBuilderError
from context_builder.llm.usage import Usage
from context_builder.text.sanitize import single_line

SHIPPED = Path(__file__).with_name("prices.toml")

_MILLION = Decimal(1_000_000)
_MAX_USD = Decimal(1_000_000)
"""Far above any price; protects the money column from overflow by a typing error."""
_CACHE_WRITE_SHARE = Decimal("1.25")
_CACHE_READ_SHARE = Decimal("0.1")
UNKNOWN_CACHE_MINIMUM = 4_096
"""Length of the shortest prefix that every model caches, in tokens."""
_MAX_TOKENS = 100_000_000
_DATE_SUFFIX = re.compile(r"[-@]\d{8}$")
_FILE_KEYS = ("as_of", "batch_share", "models")


class PriceFileError(ContextBuilderError, ValueError):
    """The price file is not usable; the message names the file and the key."""


class UnknownPrice(ContextBuilderError, ValueError):
    """A model has no price, so that nothing can be reserved for its calls."""


@dataclass(frozen=True, slots=True)
class Price:
    """Prices of one model in USD per million tokens."""

    input: Decimal
    output: Decimal
    cache_write: Decimal
    cache_read: Decimal
    cache_minimum: int = UNKNOWN_CACHE_MINIMUM
    """Length of the shortest prefix that the API caches, in tokens."""

    def cost(self, usage: Usage) -> Decimal:
        """Return the cost of billed tokens in USD, unrounded."""
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        )
        return total / _MILLION


_PRICE_KEYS = ("input", "output", "cache_write", "cache_read")
_MODEL_KEYS = (*_PRICE_KEYS, "cache_minimum")


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model; one that is not listed has none."""

    as_of: date
    batch_share: Decimal
    models: Mapping[str, Price]

    @classmethod
    def load(cls, path: Path | None = None) -> PriceList:
        """Load the shipped prices, overridden by those of the operator's file.

        Blocks, because it reads files.

        Raises:
            PriceFileError: The file cannot be read or does not have the expected content.
        """
        prices = _parse(SHIPPED, None)
        return prices if path is None else _parse(path, prices)

    def require(self, model: str) -> None:
        """Check that a model has a price. Raises UnknownPrice."""
        self._price(model)

    def is_known(self, model: str) -> bool:
        """Return True if the list contains the model or the undated id of a dated one."""
        return self._find(model) is not None

    def cost(self, model: str, usage: Usage, *, batch: bool = False, asked_for: str | None = None) -> Decimal:
        """Return the cost of billed tokens in USD, unrounded.

        A model that has no price is billed as the one that was asked for: it may be another name of it.

        Raises:
            UnknownPrice: neither has a price.
        """
        price = self._find(model) or self._price(asked_for or model)
        return price.cost(usage) * (self.batch_share if batch else 1)

    def cost_at_most(self, model: str, usage: Usage) -> Decimal:
        """Return the cost in USD of a call of others; without a price it is that of the dearest model."""
        if (price := self._find(model)) is not None:
            return price.cost(usage)
        return max(each.cost(usage) for each in self.models.values())

    def worst_case(self, model: str, input_bound: int, max_output_tokens: int) -> Decimal:
        """Return the maximum cost in USD of a call within both bounds, with all input at the highest rate.

        Raises:
            UnknownPrice: the model has no price.
        """
        price = self._price(model)
        highest_input = max(price.input, price.cache_write, price.cache_read)
        return (input_bound * highest_input + max_output_tokens * price.output) / _MILLION

    def cache_minimum(self, model: str) -> int:
        """Return the length of the shortest prefix that the API caches for the model, in tokens."""
        price = self._find(model)
        return UNKNOWN_CACHE_MINIMUM if price is None else price.cache_minimum

    def _find(self, model: str) -> Price | None:
        return self.models.get(model) or self.models.get(_DATE_SUFFIX.sub("", model))

    def _price(self, model: str) -> Price:
        price = self._find(model)
        if price is None:
            raise UnknownPrice(
                f"no price is known for the model {single_line(model)!r:.120}: add [models.<id>] to the "
                f"file of ARCPOINT_PRICES_FILE, or set ARCPOINT_MODEL to {', '.join(self.models)}"
            )
        return price


def _parse(path: Path, base: PriceList | None) -> PriceList:
    document = _read(path)
    try:
        _refuse_unknown(document, _FILE_KEYS, "")
        models = dict(base.models) if base else {}
        models.update(_models(document.get("models", {})))
        return PriceList(
            as_of=_date(document),
            batch_share=_batch_share(document, base),
            models=models,
        )
    except ValueError as error:
        raise PriceFileError(f"{path}: {single_line(str(error))}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise PriceFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PriceFileError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    # tomllib also raises the errors of int, Decimal and deep nesting.
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise PriceFileError(f"{path}: is not TOML: {single_line(str(error))}") from error


def _models(table: Any) -> Iterator[tuple[str, Price]]:
    if not isinstance(table, dict):
        raise ValueError("models: expected tables such as [models.claude-opus-5-5]")  # noqa: TRY004 - bad data, not a bad call
    for name, entry in table.items():
        key = f"models.{name}"
        if not isinstance(entry, dict):
            raise ValueError(f"{key}: expected a table with {', '.join(_MODEL_KEYS)}")  # noqa: TRY004 - see above
        _refuse_unknown(entry, _MODEL_KEYS, f"{key}.")
        per_input = _usd(entry, "input", key)
        yield (
            name,
            Price(
                input=per_input,
                output=_usd(entry, "output", key),
                cache_write=_usd(entry, "cache_write", key, per_input * _CACHE_WRITE_SHARE),
                cache_read=_usd(entry, "cache_read", key, per_input * _CACHE_READ_SHARE),
                cache_minimum=_cache_minimum(entry, key),
            ),
        )


def _usd(entry: Mapping[str, Any], name: str, parent: str, default: Decimal | None = None) -> Decimal:
    expected = "expected USD per million tokens as a number from 0 to 1,000,000"
    if name not in entry:
        if default is None:
            raise ValueError(f"{parent}.{name}: missing; {expected}")
        return default
    value = _number(entry[name])
    if value is None or not 0 <= value <= _MAX_USD:
        raise ValueError(f"{parent}.{name}: {expected}, not {entry[name]!s:.40}")
    return value


def _cache_minimum(entry: Mapping[str, Any], parent: str) -> int:
    value = entry.get("cache_minimum", UNKNOWN_CACHE_MINIMUM)
    # A bool is an int as well.
    if type(value) is not int or not 0 <= value <= _MAX_TOKENS:
        expected = f"expected whole tokens from 0 to {_MAX_TOKENS:,}"
        raise ValueError(f"{parent}.cache_minimum: {expected}, not {value!s:.40}")
    return value


def _date(document: Mapping[str, Any]) -> date:
    value = document.get("as_of")
    # A datetime is a date as well, but too precise.
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("as_of: expected the day of these prices as a date, such as 2026-10-21")  # noqa: TRY004 - see above
    return value


def _batch_share(document: Mapping[str, Any], base: PriceList | None) -> Decimal:
    if base is not None and "batch_share" not in document:
        return base.batch_share
    value = _number(document.get("batch_share"))
    if value is None or not 0 <= value <= 1:
        raise ValueError("batch_share: expected a number from 0 to 1, such as 0.5")
    return value


def _number(value: Any) -> Decimal | None:
    """Return the value as an exact finite number; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], parent: str) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f"{parent}{name}: unknown key; accepted are {', '.join(known)}")
