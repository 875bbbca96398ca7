"""What a question asks for is recognized from its words: a number, names, a cause, yes or no, a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.question.form import Form, Noun, form_of

FORMS = {
    Form.COUNT: (
        "How many requests failed today?", "how much did user_acme spend",
        "What is the error rate of gpt-4/aws?", "What's the p95 latency?", "number of incidents this week",
        "How often did it time out?", "p95 of gpt-4 since noon", "gpt-4 error rate since inc_0117",
    ),
    Form.WHICH: (
        "Which deployments are unhealthy?", "who is over budget", "Can you tell me who spends the most?",
        "What jobs are running?", "What kind of errors do we see?",
        "which users other than user_acme got 429s", "which user got a 429 or a 503?",
    ),
    Form.LIST: ("Top 3 users by cost", "list all deployments", "Show the active incidents"),
    Form.WHY: (
        "Why are premium users slow?", "p95 of gpt-4/aws is up - why?", "What is causing the errors?",
        "What was the root cause of inc_0117?", "how come nobody was paged",
    ),
    Form.WHETHER: (
        "Is anything broken?", "Are there any active incidents?", "Did answers get worse?",
        "can user_a send?", "gpt-4 is slow, is it down?", "anything I should look at?",
        "Is gpt-4/aws slower than usual?",
    ),
    Form.WHEN: ("When did premium users become slow?", "since when is it down?", "How long was it down?"),
    Form.CHANGES: ("What changed?", "What happened today?", "what's changed since Tuesday"),
    Form.COMPARISON: (
        "Is gpt-4 or llama-70b slower?", "compare premium and standard", "this week vs last week",
        "aws or gcp: which is slower?", "Is premium slower than standard?", "errors compared to yesterday",
    ),
    Form.GENERAL: ("status", "What is going on?", "I just got paged.", "Give me an overview of the gateway"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("form", "question"), [(form, question) for form, asked in FORMS.items() for question in asked]
)
def test_the_form_of_a_question(form: Form, question: str) -> None:
    """The form that a reader would expect, whatever else the question says."""
    assert form_of(question).form is form


@pytest.mark.parametrize(
    ("question", "noun", "by"),
    [
        ("How many requests did each tier send?", Noun.REQUEST, Noun.TIER),
        ("Which deployments send the most errors?", Noun.DEPLOYMENT, None),
        ("Who sends requests?", Noun.USER, None),
        ("failed requests per backend", Noun.REQUEST, Noun.BACKEND),
        ("Does anyone get rate limited?", Noun.RATE_LIMIT, None),
        ("status", None, None),
    ],
)
def test_what_is_asked_for(question: str, noun: Noun | None, by: Noun | None) -> None:
    """The noun beside the question word, and what a number is asked for each of."""
    assert (form_of(question).noun, form_of(question).by) == (noun, by)


def test_what_it_expects_and_how_many() -> None:
    """Whether it asks for what is wrong or well, for the most or the least, and for how many."""
    assert form_of("Is gpt-4/aws down?").expects is True
    assert form_of("Is gpt-4/aws healthy?").expects is False
    assert form_of("Is gpt-4/aws in Frankfurt?").expects is None
    assert form_of("top 5 deployments by latency").limit == 5
    fastest = form_of("Which deployment is the fastest?")
    assert (fastest.ranks, fastest.least) == (True, True)
    assert form_of("Which jobs are running?").state == "running"


@pytest.mark.parametrize(
    ("question", "expects"),
    [
        ("Did errors go down?", False), ("are errors down since noon?", False), ("is p95 lower now?", False),
        ("Has latency improved since noon?", False), ("Is inc_0117 over?", False),
        ("Has the outage been resolved?", False), ("did latency get better for premium", False),
        ("Did traffic drop?", True), ("Is user_acme over budget?", True), ("is gpt-4/aws down?", True),
        ("are errors increasing", True),
    ],
)  # fmt: skip
def test_what_got_better_is_asked_the_other_way_round(question: str, expects: bool) -> None:
    """Yes means that something is wrong, or that all is well again: words of a fall depend on what fell."""
    assert form_of(question).expects is expects


@given(st.text(max_size=300) | st.text("what is or a er?,'", max_size=4_000))
def test_any_text_has_a_form(text: str) -> None:
    """Nothing raises, and the form depends on neither case nor spaces."""
    form = form_of(text)
    assert form_of(f"  {text} ") == form
