"""Translation leaves English and names alone, and knows where every character comes from."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from context_builder.question.language.atom import Kind
from context_builder.question.language.lexicon import ENGLISH_EVIDENCE, LEXICONS, SHARED_WITH_ENGLISH
from context_builder.question.mention import TextSpan
from context_builder.question.text import QuestionText, read_text

ROOT = Path(__file__).parents[4]
NAMES = (
    "gpt-4/aws", "user_acme", "claude-3-5-sonnet-20241022", "llama-70b/k8s",
    "meta-llama/Llama-3.3-70B-Instruct",
    "inc_0117", "v2.4.0", "eu-west-1", "sin-1/do-2", "user_hier", "2026-11-27T22:30:00-08:00", "die-seit.v2",
)  # fmt: skip
ENGLISH = sorted(ENGLISH_EVIDENCE | SHARED_WITH_ENGLISH)
FOREIGN = sorted(phrase for lexicon in LEXICONS for phrase in lexicon.meanings)
QUOTED = re.compile(r'"([^"\\\n]{4,200})"')


def folded(question: str) -> str:
    """Return what an English question is read as."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", question)).lstrip()


def written_questions() -> list[str]:
    """Return the English questions of the repository: what stands in quotes in its tests and pages."""
    folder = ROOT / "tests" / "context_builder" / "question"
    files = [
        *folder.glob("*.py"), ROOT / "README.md", *(ROOT / "docs").glob("*.md"),
        ROOT / "tests" / "evaluation" / "question.py",
    ]  # fmt: skip
    quoted = (text for file in files for text in QUOTED.findall(file.read_text("utf-8")))
    return sorted({text for text in quoted if text.isascii()})


@pytest.mark.parametrize("question", written_questions())
def test_an_english_question_stays_as_it_is(question: str) -> None:
    """No word of it is taken for another language's."""
    text = read_text(question)
    assert (text.language, text.english) == ("en", folded(question))


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted({*ENGLISH, *NAMES, "?", ","} - {"then"})), max_size=12).map(" ".join))
def test_english_words_stay_as_they_are(question: str) -> None:
    """In any order, also `die`, `on`, `am`, `man` and `war`; only `then` may be a slip of the hand."""
    assert read_text(question).english == question


@pytest.mark.parametrize(
    "question",
    ["Is hier slow?", "Why do users of 東京 see errors?", "Почему медленно?", "왜 느린가요?",
     "Waarom is het traag?", "", " ", "?"],
)  # fmt: skip
def test_other_languages_stay_as_they_are(question: str) -> None:
    """What is mostly English, or in a language without a lexicon, is not translated."""
    text = read_text(question)
    assert (text.language, text.english) == ("en", folded(question))


def check_places(text: QuestionText) -> None:
    """Check that places are within what was asked, and that all of it is quoted by the whole."""
    assert len(text.places) == len(text.english)
    assert all(0 <= place.start <= place.end <= len(text.asked) for place in text.places)
    assert text.as_asked(TextSpan(0, len(text.english))) == text.asked.strip()


MIXED = st.lists(
    st.sampled_from([*FOREIGN, *ENGLISH, *NAMES, "9", "14h30", "24.", "24.11.2026", "。", ",", "-"]),
    max_size=10,
)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(MIXED.map(" ".join) | MIXED.map("".join) | st.text(max_size=40))
def test_every_character_has_its_place(question: str) -> None:
    """The user's own words can be quoted for any part, whatever was moved."""
    check_places(read_text(question))


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FOREIGN), max_size=6), st.integers(0, 6), st.sampled_from(NAMES))
@example(words=["da madrugada"], at=0, name="2026-11-27T22:30:00-08:00")
def test_a_name_survives(words: list[str], at: int, name: str) -> None:
    """Among any words of any language a name stays byte for byte, separated from its neighbours."""
    text = read_text(" ".join([*words[:at], name, *words[at:]]))
    assert name in re.split(r"[\s,]+", text.english)
    start = text.english.index(name)
    assert text.as_asked(TextSpan(start, start + len(name))) == name


@pytest.mark.parametrize(
    ("question", "part", "asked"),
    [
        ("昨日の9時から10時までのgpt-4/awsのエラー", "yesterday", "昨日"),
        ("昨日の9時から10時までのgpt-4/awsのエラー", "from 9:00 to 10:00", "9時から10時まで"),
        ("エラー：gpt-4/aws以外", "except gpt-4/aws", "gpt-4/aws以外"),
        ("Fehler vor 3 Stunden", "3 hours ago", "vor 3 Stunden"),
        ("Fehler  letzte\nWoche   Dienstag", "Tuesday", "Dienstag"),
        ("errores el MARTES pasado", "last Tuesday", "el MARTES pasado"),
        ("erreurs de la semaine dernie\u0300re", "last week", "semaine dernie\u0300re"),
        ("１０時から", "since 10:00", "１０時から"),
    ],
)
def test_a_part_is_quoted_in_the_words_of_the_user(question: str, part: str, asked: str) -> None:
    """Also where the languages order words differently."""
    text = read_text(question)
    start = text.english.index(part)
    assert text.as_asked(TextSpan(start, start + len(part))) == asked


@pytest.mark.long
@pytest.mark.parametrize(
    "piece",
    ["昨", "昨日", "の", "前", "九", "十", "gestern ", "vor 3 ", "9h-", "à 9h ", "premium ", "premium-",
     "以外", "gpt-4/aws以外", "a-",
     "11月24日", "到", "x和", "昨日、", "l'", "\u0301", "1/", "1.1.", "que más ", "٣",
     "26.11.-", "3/11 ", "(UTC) ", "plus lent ", "nicht ", "时间", "对比", "どちらが", "と比べて", "前后"],
)  # fmt: skip
def test_a_hostile_question_is_read(piece: str) -> None:
    """4,000 characters of one word, in a question of its language."""
    question = ("昨日 " if piece[0] > "\u2e80" else "Fehler gestern ") + piece * (4_000 // len(piece))
    check_places(read_text(question))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "around", ["昨日の{}のエラー", "从昨天开始{}变慢", "{}以外のエラー", "除了{}以外", "エラー、{}を除く"]
)
def test_a_name_is_separated_from_characters_without_spaces(name: str, around: str) -> None:
    """As readers of names expect it."""
    assert name in read_text(around.format(name)).english.split(" ")


def test_a_lexicon_translates_into_plain_english() -> None:
    """Every phrase has an English word, unless it only marks a phrase."""
    for lexicon in LEXICONS:
        for phrase, meaning in lexicon.meanings.items():
            assert meaning.english.isascii() or meaning.kind in {Kind.PARTICLE, Kind.LINK}, phrase
