"""Templates: the shipped ones are usable, one's own are checked, and what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from context_builder.postmortems.document import postmortem_question
from context_builder.postmortems.template import (
    MAX_ASKED,
    MAX_HINT,
    MAX_TITLE,
    SHIPPED,
    TemplateError,
    load_template,
)
from context_builder.question.checks import check_question
from models import Incident

OWN = """
[[sections]]
title = "Résumé, 1"
by = ["model", "code:summary"]
hint = "one sentence"

[[sections]]
title = "What it cost us"
by = "code:impact"
"""


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_templates_tell_what_a_postmortem_must(path: Path) -> None:
    """Each names the cause, what could not be seen, and the evidence."""
    template = load_template(path.stem)
    parts = {writer for section in template.sections for writer in section.writers}
    assert {"model", "root_cause", "blind_spots", "evidence"} <= parts


def test_one_s_own_template_is_a_file(tmp_path: Path) -> None:
    """Its sections come in its order, with their writers."""
    path = tmp_path / "ours.toml"
    path.write_text(OWN, "utf-8")
    template = load_template(str(path))
    assert template.name == "ours"
    assert [(each.title, each.writers, each.hint) for each in template.sections] == [
        ("Résumé, 1", ("model", "summary"), "one sentence"),
        ("What it cost us", ("impact",), ""),
    ]


def test_the_largest_template_still_makes_a_question(tmp_path: Path) -> None:
    """Whatever is accepted fits into one question, beside the longest id."""
    path = tmp_path / "large.toml"
    rest, hint = "t" * (MAX_TITLE - 2), "h" * MAX_HINT
    for number in range(MAX_ASKED):
        with path.open("a", encoding="utf-8") as file:
            file.write(f'[[sections]]\nby = "model"\ntitle = "{number:02}{rest}"\nhint = "{hint}"\n')
    assert check_question(postmortem_question(Incident(public_id="i" * 100), load_template(str(path))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sections: expected 1 to 20 tables [[sections]]"),
        ("sections = 3", "sections: expected 1 to 20 tables"),
        ("sections = [3]", "sections[1]: expected a table with title, by, hint"),
        ("name = 'x'", "name: unknown key; accepted is [[sections]]"),
        ("[[sections]\n", "is not TOML: "),
        (
            "[[sections]]\nby = 'model'",
            "sections[1].title: expected 1 to 60 letters, digits and spaces, not None",
        ),
        ("[[sections]]\ntitle = 'a\\nb'\nby = 'model'", "sections[1].title: expected"),
        ("[[sections]]\ntitle = \"a\\n## b\"\nby = 'model'", "sections[1].title: expected"),
        (
            "[[sections]]\ntitle = 'a'",
            "sections[1].by: None is not a writer; accepted are 'model' and code:summary, ",
        ),
        (
            "[[sections]]\ntitle = 'a'\nby = 'code:magic'",
            "sections[1].by: 'code:magic' is not a writer; accepted",
        ),
        ("[[sections]]\ntitle = 'a'\nby = 'impact'", "sections[1].by: 'impact' is not a writer"),
        (
            "[[sections]]\ntitle = 'a'\nby = []",
            "sections[1].by: expected one writer or a list of distinct ones",
        ),
        (
            "[[sections]]\ntitle = 'a'\nby = ['model', 'model']",
            "sections[1].by: expected one writer or a list",
        ),
        ("[[sections]]\ntitle = 'a'\nby = 'model'\nhint = \"x\\ny\"", "sections[1].hint: expected one line"),
        (
            "[[sections]]\ntitle = 'a'\nby = 'model'\ncolour = 1",
            "sections[1].colour: unknown key; accepted are title",
        ),
        (
            "[[sections]]\ntitle = 'a'\nby = 'code:impact'",
            "sections: 0 have by = 'model'; accepted are 1 to 12",
        ),
        (
            "[[sections]]\ntitle = 'a'\nby = 'model'\n[[sections]]\ntitle = 'A'\nby = 'code:impact'",
            "sections[2].title: 'A' is also the title of sections[1]",
        ),
    ],
)
def test_a_bad_template_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    """Law 10: the file, the key and what is accepted are named."""
    path = tmp_path / "bad.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(TemplateError) as raised:
        load_template(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_template_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """An unknown name tells the known ones; a missing file and one that is no text are named."""
    with pytest.raises(
        TemplateError, match=r"'nope'; accepted are brief, default and the path of a \.toml file"
    ):
        load_template("nope")
    with pytest.raises(TemplateError, match=r"none\.toml: cannot be read: No such file"):
        load_template(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match=r"bytes\.toml: is not UTF-8 text"):
        load_template(str(tmp_path / "bytes.toml"))
