"""Law 5, what is checked: sentences of Markdown as people and models write it, each with its references."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.answer.sentences import parse_references, split_sentences


def cited(answer: str) -> list[tuple[str, str]]:
    """Each sentence without its references, and what it cites."""
    return [
        (" ".join(sentence.claim.split()), " ".join(sentence.refs)) for sentence in split_sentences(answer)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x [H1].", "H1"),
        ("x [H1, I3]", "H1 I3"),
        ("x [H1][I3]", "H1 I3"),
        ("x [H1] and [I3; B2]", "H1 I3 B2"),
        ("x [H1 & I3] [H1/B2]", "H1 I3 B2"),
        ("x [ H1 ,I3 ]", "H1 I3"),
        ("x [H1-H3]", "H1 H2 H3"),
        ("x [H1–H3] [I1 to I2]", "H1 H2 H3 I1 I2"),
        ("x [H1-3]", "H1 H2 H3"),
        ("x [H1, B2-B3, I4]", "H1 B2 B3 I4"),
        ("x [H3-H1]", "H3 H1"),
        ("x [H1-H9999]", "H1 H9999"),
        ("x [H1-I3]", "H1 I3"),
        ("x [H1](#h1)", "H1"),
        ("x [H1] [H1]", "H1"),
        ("x [5], list[0], [h1], [see], [ABCD1], [H], [H1 up], [H1234567]", ""),
    ],
)
def test_references_in_every_form(text: str, expected: str) -> None:
    """Lists, ranges and both combined; an excessive range stands for its two ends."""
    assert " ".join(parse_references(text)) == expected


NO_5 = ("No. 5", "H1")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A is down [H1]. B is up [H2].", [("A is down .", "H1"), ("B is up .", "H2")]),
        ("A is down. [H1] B is up. [H2]", [("A is down .", "H1"), ("B is up .", "H2")]),
        ("A is down.[H1] B!", [("A is down .", "H1"), ("B!", "")]),
        ("**A is down.** B is up.", [("**A is down.**", ""), ("B is up.", "")]),
        ("**A is down.** [H1] B is up.", [("**A is down .**", "H1"), ("B is up.", "")]),
        ("A is down\n[H1]\n\nB is up", [("A is down", "H1"), ("B is up", "")]),
        ("A has been\ndown since 5 [H1].", [("A has been down since 5 .", "H1")]),
        ("A is down [H1]  \nB is up", [("A is down", "H1"), ("B is up", "")]),
        ("v2.4.0 took 12.85 s, e.g. at 7. No. 5 [H1]", [("v2.4.0 took 12.85 s, e.g. at 7.", ""), NO_5]),
        ("Nov. 20, approx. 5 vs. 6 etc. No. 5 [H1]", [("Nov. 20, approx. 5 vs. 6 etc.", ""), NO_5]),
        ("Is it? Yes… No. 5 [H1]", [("Is it?", ""), ("Yes…", ""), NO_5]),
        ("「一。」二。三[H1]", [("「一。」", ""), ("二。", ""), ("三", "H1")]),
    ],
)  # fmt: skip
def test_prose_is_split_into_sentences(answer: str, expected: list[tuple[str, str]]) -> None:
    """Only full stops end a sentence; a reference belongs to the sentence before it."""
    assert cited(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("- A is down. It lost 5. [H1]\n- B", [("A is down. It lost 5.", "H1"), ("B", "")]),
        ("1. A 5 [H1]\n2) B\n   goes on [H2]", [("A 5", "H1"), ("B goes on", "H2")]),
        ("* [H1] A is down. It lost 5.", [("A is down. It lost 5.", "H1")]),
        ("- A. B 5 [H1]. C 6. D [H2].", [("A.", "H1"), ("B 5 .", "H1"), ("C 6.", "H2"), ("D .", "H2")]),
        ("> - 10. quoted [H1]", [("quoted", "H1")]),
        ("-5 % is no item", [("-5 % is no item", "")]),
        ("## 2. Impact\nA [H1]", [("Impact", ""), ("A", "H1")]),
        ("Impact\n======\nA [H1]\n\n---\n***\nB", [("Impact", ""), ("A", "H1"), ("B", "")]),
        ("| a |\n|:-:|\n| x. 5 [H1] |\n| 6 |", [("| a |", ""), ("| x. 5 |", "H1"), ("| 6 |", "")]),
        ("A [H1]\n```\nx = 5\n\n- y. z\n```\nB", [("A", "H1"), ("x = 5", ""), ("- y. z", ""), ("B", "")]),
        ("~~~\n```\nx\n~~~\nA. B", [("```", ""), ("x", ""), ("A.", ""), ("B", "")]),
        ("```lost 5``` [H1]", [("```lost 5```", "H1")]),
        ("```\nnever closed. 5", [("never closed. 5", "")]),
    ],
)  # fmt: skip
def test_markdown_blocks_are_kept_apart(answer: str, expected: list[tuple[str, str]]) -> None:
    """Items, headings, quotes, tables and code are separate; list numbers are not claims."""
    assert cited(answer) == expected


def test_code_is_marked() -> None:
    """A command in a code block is checked differently from a sentence."""
    assert [sentence.is_code for sentence in split_sentences("A\n```sh\nkubectl get pods\n```\nB")] == [
        False,
        True,
        False,
    ]


PIECES = [
    "[H1]",
    "[H1-3]",
    " ",
    ".",
    "!",
    "\n",
    "-",
    "\n```\n",
    "#",
    ">",
    "5",
    "A",
    "b.",
    "*",
    "_",
    "\\",
    "。",
]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_characters="`~")) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_nothing_is_lost(answer: str) -> None:
    """Every letter and digit outside Markdown marks and references is part of a sentence."""
    left = "".join(sentence.text for sentence in split_sentences(answer))
    for letter in "Ab":
        assert left.count(letter) == answer.count(letter)


HOSTILE = [
    "[", "[H1", "[H1 ", "[H1, ", "[H1-", ".", ". ", ".[H1] ", "a.\n", "- ", "# ", ">", "1. ", " ", "*",
    ".\"'", "|", "- a\n", "a\n", "a\\\n", "```\n", "。", "[H1]", "e.g. ", "\u2003", "[H1 and ",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_answers_are_read_in_one_pass(piece: str) -> None:
    """100 kB of text that causes backtracking is processed in linear time, and so is the text after it."""
    answer = piece * (100_000 // len(piece))
    assert sum(len(sentence.text) for sentence in split_sentences(f"{answer}x")) <= len(answer) + 100_000
