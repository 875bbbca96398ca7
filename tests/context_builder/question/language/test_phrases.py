"""Questions in six languages are read as the same questions in English."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from context_builder.question.names.tier_names import find_tier_names
from context_builder.question.text import read_text
from context_builder.question.topics import DEFAULT_TOPICS, topics_of
from tests.support.windows import find_window

SUNDAY = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)

_TABLE = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))
PHRASES = [(language, *row) for language, rows in _TABLE.items() for row in rows]


@pytest.mark.parametrize(("language", "question", "english", "topics", "tiers", "window"), PHRASES)
def test_a_question_is_read_as_in_english(
    language: str, question: str, english: str, topics: str, tiers: str, window: str
) -> None:
    """Its language is found, and its times, tiers, exclusions, comparisons and topics are in English."""
    text = read_text(question)
    assert (text.language, text.english) == (language, english)
    found = topics_of(text.english)
    assert " ".join(sorted(found)) == topics or (found == DEFAULT_TOPICS and not topics)
    named = dict.fromkeys(name for found in find_tier_names(text.english) for name in found.names)
    assert " ".join(sorted(named)) == tiers
    if window:
        read = find_window(text.english, SUNDAY)
        assert f"{read.start:%m-%d %H:%M} to {read.end:%m-%d %H:%M}" == window


@pytest.mark.parametrize("language", ["de", "es", "fr", "pt", "ja", "zh"])
def test_the_table_has_many_phrases_of_each_language(language: str) -> None:
    """At least fifteen."""
    assert sum(row[0] == language for row in PHRASES) >= 15


@pytest.mark.parametrize(
    ("question", "english"),
    [
        # short, without accents, abbreviated, in capitals, in another order
        ("timeouts hier?", "timeouts yesterday?"),
        ("errors sin gpt-4/aws", "errors without gpt-4/aws"),
        ("errores desde ayer y mas latencia que hoy", "errors since yesterday and more latency than today"),
        ("seit Mo 14 Uhr langsam", "since Monday 14:00 slow"),
        ("dienstags langsam, im Okt", "Tuesday slow, in October"),
        ("24. Nov. 2026: Fehler", "24 November 2026: errors"),
        ("KW47 Kosten", "week 47 cost"),
        # which half of the day
        ("errores de 2 a 4 de la tarde", "errors from 14:00 to 16:00"),
        ("Latenz nachmittags zwischen 2 und 4 Uhr", "latency between 14:00 and 16:00"),
        ("昨晚10点的错误", "yesterday 22:00 的 errors"),
        ("昨夜2時のエラー", "today 2:00 の errors"),
        ("晚上12点的错误", "0:00 的 errors"),
        ("中午12点的错误", "12:00 的 errors"),
        # words with two meanings
        ("Kosten nach Nutzer", "cost nach users"),
        ("Kosten nach dem letzten Deployment", "cost after last deploy"),
        ("depuis 9h erreurs", "since 9:00 errors"),
        ("depuis 48h erreurs", "since 48 hours ago errors"),
        ("gestern morgen, Fehler morgen", "yesterday morning, errors tomorrow"),
        ("erreurs à 14:00 CET hier", "errors at 14:00 CET yesterday"),
        ("11月3日前のエラー", "before 3 November errors"),
        # ranges and comparisons
        ("de lunes a viernes errores", "from Monday to Friday errors"),
        ("erreurs du 24 au 26 novembre 2026", "errors from 24 November 2026 to 26 November 2026"),
        ("昨天比前天错误多吗", "yesterday compared to day before yesterday errors 多吗"),
        ("Vergleiche diese Woche mit letzter Woche: Fehler", "compare this week to last week: errors"),
        ("比较本周和上周的错误", "compare this week to last week 的 errors"),
        ("premium oder standard: wer ist langsamer?", "premium or standard: who is slower?"),
        # names beside characters without spaces, full-width forms
        ("user_张伟的错误", "user_张伟的 errors"),
        ("llama-70b/k8s上周的延迟", "llama-70b/k8s last week 的 latency"),
        ("ｇｐｔ－４/awsの昨日", "gpt-4/aws の yesterday"),
        ("ｴﾗｰ ﾀｲﾑｱｳﾄ 昨日", "errors timeouts yesterday"),
        # a negated verb leaves nothing out, a negated tier does
        ("les utilisateurs qui ne sont pas premium", "the users who ne are non-premium"),
        ("warum antwortet gpt-4o nicht", "why antwortet gpt-4o not"),
        # a clock time in a zone of its own, and words that only look like one
        ("昨日14:00（UTC+9）のエラー", "yesterday 14:00 UTC+9 の errors"),
        ("seit langer Zeit langsam", "since langer Zeit slow"),
        ("errores a la hora de inicio", "errors a the hour of inicio"),
        # numbers that are no dates or times
        ("ist claude 3.5. langsam, 1/2 der Nutzer?", "is claude 3.5. slow, 1/2 the users?"),
        ("Fehler um 9 Prozent mehr", "errors at 9 Prozent more"),
        (
            "Fehler in Version 1.2.3 und 31.02.2026 gestern",
            "errors in Version 1.2.3 and 31.02.2026 yesterday",
        ),
        ("um 25 Uhr Fehler, 14 Uhr 5 Fehler", "at 25 Uhr errors, 14:00 5 errors"),
    ],
)
def test_special_forms(question: str, english: str) -> None:
    """What is known is translated; what is not stays as asked."""
    assert read_text(question).english == english
