"""Prices: exact, dated, replaceable, and never below what a call can cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.llm.pricing import UNKNOWN_CACHE_MINIMUM, PriceFileError, PriceList, UnknownPrice
from context_builder.llm.usage import Usage

PRICES = PriceList.load()
MODELS = list(PRICES.models)
TOKENS = st.integers(0, 10**9)


def load(tmp_path: Path, text: str | bytes) -> PriceList:
    path = tmp_path / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return PriceList.load(path)


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("claude-opus-5-5", Usage(1_000_000, 1_000_000), "24"),
        ("claude-sonnet-5-5", Usage(1, 1), "0.000012"),
        ("claude-haiku-5-5", Usage(0, 0, cache_read_tokens=1), "0.00000001"),
        ("claude-fable-5-1", Usage(0, 0, cache_write_tokens=1_000_000), "12.5"),
        ("claude-sonnet-5-5", Usage(100, 10, 1000, 200), "0.0010"),
    ],
)
def test_cost_is_exact(model: str, usage: Usage, usd: str) -> None:
    """Every kind of token is billed at its rate, without rounding."""
    assert PRICES.cost(model, usage) == Decimal(usd)


def test_a_batch_costs_its_share_of_single_calls() -> None:
    """A message batch is half price."""
    usage = Usage(1000, 100, 10, 20)
    assert PRICES.cost("claude-opus-5-5", usage, batch=True) * 2 == PRICES.cost("claude-opus-5-5", usage)


@given(
    model=st.sampled_from(MODELS),
    tokens=st.tuples(TOKENS, TOKENS, TOKENS, TOKENS),
    slack=st.tuples(TOKENS, TOKENS),
)
def test_the_worst_case_is_never_exceeded(
    model: str, tokens: tuple[int, int, int, int], slack: tuple[int, int]
) -> None:
    """A call within its bounds never costs more than its worst case, cached or not, for any model."""
    usage = Usage(*tokens)
    bound = PRICES.worst_case(model, usage.prompt_tokens + slack[0], usage.output_tokens + slack[1])
    assert PRICES.cost(model, usage) <= bound


@pytest.mark.parametrize("suffix", ["-20261021", "@20261021"])
def test_a_dated_id_has_its_familys_price(suffix: str) -> None:
    """A model id with a date is priced as the model without it."""
    usage = Usage(1_000_000, 0)
    assert PRICES.cost(f"claude-haiku-5-5{suffix}", usage) == Decimal("0.10")


@pytest.mark.parametrize("model", ["claude-haiku-5-5-fast", "claude-haiku-5", "", "CLAUDE-HAIKU-5-5"])
def test_an_unknown_model_is_refused_by_the_names_of_the_settings(model: str) -> None:
    """Nothing can be reserved for it; a reply under such a name costs what was asked for."""
    for priced in (PRICES.require, lambda name: PRICES.worst_case(name, 1, 1)):
        with pytest.raises(
            UnknownPrice, match=r"file of ARCPOINT_PRICES_FILE, or set ARCPOINT_MODEL to claude"
        ):
            priced(model)
    usage = Usage(1000, 1000, 1000, 1000)
    asked_for = "claude-sonnet-5-5"
    assert PRICES.cost(model, usage, asked_for=asked_for) == PRICES.cost(asked_for, usage)


def test_an_unknown_model_has_the_largest_cache_minimum(tmp_path: Path) -> None:
    """The cache minimum is an optional field of a model and has a conservative default."""
    assert (
        PRICES.cache_minimum("claude-sonnet-5-5")
        == PRICES.cache_minimum("claude-sonnet-5-5-20261021")
        == 1024
    )
    assert PRICES.cache_minimum("claude-nobody-knows-9") == UNKNOWN_CACHE_MINIMUM
    price = "input = 1\noutput = 1\n"
    own = f"as_of = 2027-01-02\n[models.a]\n{price}[models.b]\n{price}cache_minimum = 7"
    prices = load(tmp_path, own)
    assert (prices.cache_minimum("a"), prices.cache_minimum("b")) == (UNKNOWN_CACHE_MINIMUM, 7)


def test_an_operators_file_overrides_the_shipped_prices(tmp_path: Path) -> None:
    """The file replaces or adds the models that it names, keeps the others, and sets the date."""
    prices = load(
        tmp_path,
        """
        as_of = 2027-01-02
        [models.claude-opus-5-5]
        input = 3.3
        output = 15
        cache_read = 0
        ["models"."local"]
        input = 0
        output = 0
        """,
    )
    assert str(prices.as_of) == "2027-01-02"
    assert prices.batch_share == Decimal("0.5")
    assert prices.cost("claude-opus-5-5", Usage(1_000_000, 0, 1_000_000, 1_000_000)) == Decimal("7.425")
    assert prices.cost("local", Usage(9, 9, 9, 9)) == 0
    assert prices.models["claude-sonnet-5-5"] == PRICES.models["claude-sonnet-5-5"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "as_of: expected"),
        ("as_of = 2027-01-02T00:00:00Z", "as_of: expected"),
        ("as_of = '2027-01-02'", "as_of: expected"),
        ("as_of = 2027-01-02\ndiscount = 1", "discount: unknown key"),
        ("as_of = 2027-01-02\nbatch_share = 2", "batch_share: expected"),
        ("as_of = 2027-01-02\nmodels = 3", "models: expected"),
        ("as_of = 2027-01-02\nmodels.x = 3", "models.x: expected"),
        ("as_of = 2027-01-02\n[models.x]\noutput = 3", "models.x.input: missing"),
        ("as_of = 2027-01-02\n[models.x]\ninput = 3", "models.x.output: missing"),
        ("as_of = 2027-01-02\n[models.x]\ninput = 3\noutput = 4\ncache = 1", "models.x.cache: unknown"),
        ("as_of = 2027-01-02\n[models.x]\ninput = '3'\noutput = 4", "models.x.input: expected"),
        ("as_of = 2027-01-02\n[models.x]\ninput = true\noutput = 4", "models.x.input: expected"),
        ("as_of = 2027-01-02\n[models.x]\ninput = -1\noutput = 4", "models.x.input: expected"),
        ("as_of = 2027-01-02\n[models.x]\ninput = nan\noutput = 4", "models.x.input: expected"),
        ("as_of = 2027-01-02\n[models.x]\ninput = 1e400\noutput = 4", "models.x.input: expected"),
        ("as_of = 2027-01-02\n[models.x]\ninput = 1\noutput = inf", "models.x.output: expected"),
        (
            "as_of = 2027-01-02\n[models.x]\ninput = 1\noutput = 1\ncache_minimum = 1.5",
            "models.x.cache_minimum: e",
        ),
        (
            "as_of = 2027-01-02\n[models.x]\ninput = 1\noutput = 1\ncache_minimum = -1",
            "models.x.cache_minimum: e",
        ),
        ("as_of = 2027-01-02\n[models.'a\tb']\ninput = -1\noutput = 1", "models.a b.input: expected"),
        ("as_of = [", "is not TOML"),
        (f"as_of = {'9' * 5000}", "is not TOML"),
        (f"as_of = {'[' * 5000}", "is not TOML"),
        ("as_of = 1e99999999999999999999", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_the_key(tmp_path: Path, text: str | bytes, named: str) -> None:
    """Any error in a price file is one line with the file and the key."""
    with pytest.raises(PriceFileError) as raised:
        load(tmp_path, text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'own.toml'}: ")
    assert named in message
    assert "\n" not in message
    assert len(message) < len(str(tmp_path)) + 250


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    """An unreadable path is an error, never a silent fallback to the shipped prices."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(PriceFileError, match="cannot be read"):
            PriceList.load(path)
