"""What a question asks about: exclusions, two sides, and what is told as not used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from context_builder.question.events import EventMention
from context_builder.question.meaning.understanding import Findings, Understanding, understand
from context_builder.question.mention import NameKind, NameMention, TextSpan
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.request import Interval, QuestionError, Scope, Window
from context_builder.question.text import read_text

AS_OF = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)  # a Sunday
OCTOBER_27, OCTOBER_28 = datetime(2026, 10, 27, tzinfo=UTC), datetime(2026, 10, 28, tzinfo=UTC)
FLEET = [
    DeploymentName(1, "gpt-4/aws", "gpt-4", "aws"),
    DeploymentName(2, "gpt-4/azure", "gpt-4", "azure"),
    DeploymentName(3, "llama-70b/k8s", "llama-70b", "k8s"),
]
KNOWN = {
    **{d.public_id: (NameKind.DEPLOYMENT, (d.id,)) for d in FLEET},
    "premium": (NameKind.TIER, ()),
    "standard": (NameKind.TIER, ()),
    "budget": (NameKind.TIER, ()),
    "user_acme": (NameKind.USER, (7,)),
    "user_zeta": (NameKind.USER, (8,)),
    "inc_0117": (NameKind.INCIDENT, (9,)),
}


def _names(question: str) -> list[NameMention]:
    found = [
        NameMention(
            spans=(TextSpan(at, at + len(word)),),
            kind=kind,
            ids=ids,
            names=(word,),
            is_negated=question[max(0, at - 4) : at] == "non-",
        )
        for word, (kind, ids) in KNOWN.items()
        for at in [question.find(word)]
        if at >= 0
    ]
    return sorted(found, key=lambda mention: mention.spans[0])


def _read(question: str, **findings: object) -> Understanding:
    text = read_text(question)
    assert text.english == question
    return understand(text, AS_OF, Findings(names=_names(question), fleet=FLEET, **findings))  # type: ignore[arg-type]


def _told(question: str, **findings: object) -> list[str]:
    return [part.text for part in _read(question, **findings).not_used]


def _day(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    "question",
    [
        "Errors for every deployment except gpt-4/aws",
        "Errors, all but gpt-4/aws",
        "Errors without gpt-4/aws",
        "Errors other than on gpt-4/aws",
        "Excluding gpt-4/aws: any errors?",
        "Errors everywhere but not on gpt-4/aws",
        "Errors on all deployments apart from gpt-4/aws",
        "Errors, gpt-4/aws excluded",
        "Any errors outside gpt-4/aws?",
    ],
)
def test_an_excluded_deployment_leaves_the_others_in_scope(question: str) -> None:
    """Whatever word excludes a deployment, the scope is the rest of the fleet, and nothing is told."""
    understood = _read(question)

    assert understood.scope.deployment_ids == (2, 3)
    assert understood.scope.labels == ("all deployments but gpt-4/aws",)
    assert understood.not_used == ()


def test_a_tier_right_after_an_exclusion_is_one() -> None:
    """Even `budget`, which is a tier beside few words only, and no name was found."""
    question = "Latency for all tiers but budget"
    understood = understand(read_text(question), AS_OF, Findings(fleet=FLEET))

    assert (understood.scope.tiers, understood.not_used) == (("premium", "standard"), ())


def test_hours_are_left_out_of_every_day() -> None:
    """An excluded part of a day recurs in the window."""
    (side,) = _read("Errors since Friday except 22:00 to 06:00").sides

    assert side.intervals == (
        Interval(_day(27, 6), _day(27, 22)),
        Interval(_day(28, 6), _day(28, 22)),
        Interval(_day(29, 6), AS_OF),
    )


@pytest.mark.parametrize("hours", ["3pm to 4pm", "15:00 - 16:00", "from 3 until 4 pm", "between 3pm and 4pm"])
def test_hours_are_left_out_of_a_day_of_the_month(hours: str) -> None:
    """A range is left out whole, and the day before it stays the window."""
    understood = _read(f"Errors on the 27th except {hours}")

    (side,) = understood.sides
    assert side.intervals == (Interval(_day(27), _day(27, 15)), Interval(_day(27, 16), _day(28)))
    assert understood.not_used == ()


def test_a_list_is_excluded_as_a_whole_but_a_time_after_it_is_not() -> None:
    """The reach of an exclusion is the list that follows it."""
    understood = _read("Errors except gpt-4/aws and gpt-4/azure yesterday")

    assert understood.scope.deployment_ids == (3,)
    assert (understood.window.start, understood.window.end) == (_day(28), _day(29))


def test_excluded_tiers_and_users_leave_the_others() -> None:
    """Tiers are left out by the complement, users by name, since they are too many to list."""
    assert _read("Timeouts of non-premium users").scope.tiers == ("standard", "budget")
    assert _read("Which users but not premium or budget?").scope.tiers == ("standard",)
    scope = _read("Exclude user_acme: who spent most today?").scope
    assert (scope.user_ids, scope.excluded_user_ids) == ((), (7,))
    assert scope.labels == ("all users but user_acme",)


def test_an_excluded_day_is_a_gap_in_the_window() -> None:
    """The window stays whole, and the side has the parts that remain."""
    understood = _read("Errors this week except Wednesday")

    assert (understood.window.start, understood.window.end) == (_day(23), AS_OF)
    (side,) = understood.sides
    assert side.intervals == (Interval(_day(23), _day(25)), Interval(_day(26), AS_OF))
    assert understood.not_used == ()


def test_an_exclusion_before_its_window_applies_to_its_own_time_only() -> None:
    """The time after `except` is read alone, not together with the window's."""
    (side,) = _read("Excluding Wednesday, what failed this week?").sides

    assert side.intervals[0] == Interval(_day(23), _day(25))


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Errors except for the canary", "except for the canary"),
        ("Errors today without retries", "without retries"),
        ("Errors today except last March", "except last March"),
        ("Which requests took over 5 s?", "over 5 s"),
        ("Latency compared to our SLO", "compared to our SLO"),
        ("Show requests that did not time out", "not time out"),
        ("Errors yesterday and on Monday 16 November", "Monday 16 November"),
        ("Errors since the outage of the century", "since the outage of the century"),
        ("Capacity risks in the next 5 hours", "next 5 hours"),
        ("Errors at 9:00 yesterday in Berlin", "in Berlin"),
        ("Errors since the game last night", "since the game"),
    ],
)
def test_what_is_not_used_is_told_in_the_words_of_the_question(question: str, told: str) -> None:
    """Exclusions of nothing known, figures, foreign comparisons and second times are told."""
    assert any(told in text or text in told for text in _told(question)), _told(question)


@pytest.mark.parametrize(
    "question",
    [
        "Which deployments are not healthy?",
        "Why is gpt-4/aws slower than usual?",
        "Why don't premium users get answers?",
        "What may be wrong with gpt-4/aws?",
        "Top 10 users by cost today",
        "How many errors 500 since 09:00?",
        "Have we seen this before?",
        "Requests per minute today",
        "Errors during the last half hour",
        "Are there deployments that are not responding?",
        "Capacity risks in the next 5 minutes",
    ],
)
def test_nothing_is_told_of_a_plain_question(question: str) -> None:
    """Ordinary negations, superlatives and units are no exclusions, comparisons or times."""
    assert _told(question) == []


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("Compare this week to last week", (_day(23), AS_OF), (_day(16), _day(23))),
        ("Errors this week vs last week", (_day(23), AS_OF), (_day(16), _day(23))),
        ("Compare Tuesday to last week's Tuesday", (_day(24), _day(25)), (_day(17), _day(18))),
        ("Was Friday worse than Thursday?", (_day(27), _day(28)), (_day(26), _day(27))),
        ("Difference between Monday and Tuesday", (_day(23), _day(24)), (_day(24), _day(25))),
        ("Is it slower than yesterday?", (_day(29), AS_OF), (_day(28), _day(29))),
        ("Cost on Friday vs the same day last month", (_day(27), _day(28)), (OCTOBER_27, OCTOBER_28)),
        ("Errors from 9 to 10 today vs yesterday", (_day(29, 9), _day(29, 10)), (_day(28, 9), _day(28, 10))),
    ],
)
def test_two_times_are_two_sides(
    question: str, first: tuple[datetime, datetime], second: tuple[datetime, datetime]
) -> None:
    """A compared time has a side of its own; the window is that of the later one."""
    understood = _read(question)

    assert [side.intervals for side in understood.sides] == [(Interval(*first),), (Interval(*second),)]
    assert (understood.window.start, understood.window.end) == max(first, second, key=lambda s: s[1])
    assert understood.not_used == ()


@pytest.mark.parametrize(
    "question",
    [
        "premium or standard: who is slower?",
        "Is premium slower than standard?",
        "premium vs. standard latency",
        "Compare premium and standard",
        "What is the difference between premium and standard?",
    ],
)
def test_two_names_are_two_sides_of_one_window(question: str) -> None:
    """Compared names share the window, and the scope covers both."""
    understood = _read(question)

    assert [side.scope.tiers for side in understood.sides] == [("premium",), ("standard",)]
    assert understood.sides[0].intervals == understood.sides[1].intervals
    assert understood.scope.tiers == ("premium", "standard")
    assert understood.not_used == ()


def test_names_and_times_pair_up() -> None:
    """Each side has the time and the name that stand together; other names hold for both."""
    sides = _read("premium yesterday vs standard today on llama-70b/k8s").sides

    assert [(s.scope.tiers, s.scope.deployment_ids) for s in sides] == [
        (("premium",), (3,)),
        (("standard",), (3,)),
    ]
    assert [s.intervals[0].start for s in sides] == [_day(28), _day(29)]


def test_the_rest_is_a_side() -> None:
    """A name can be compared with all others."""
    understood = _read("Is gpt-4/aws slower than the others?")

    assert [side.scope.deployment_ids for side in understood.sides] == [(1,), (2, 3)]
    assert understood.scope.deployment_ids == ()


def test_before_and_after_an_event_are_equally_long() -> None:
    """Either side of an event is as long as the time since it, a day at most."""
    question = "Errors before and after the last deploy"
    at = question.index("the last deploy")
    moment = AS_OF - timedelta(hours=3)
    event = EventMention(TextSpan(at, len(question)), Interval(moment, moment), "rollout job_1 at 09:40")
    understood = _read(question, events=[event])

    assert [side.intervals[0] for side in understood.sides] == [
        Interval(moment - timedelta(hours=3), moment),
        Interval(moment, AS_OF),
    ]
    assert understood.notes == ("“the last deploy” is rollout job_1 at 09:40",)
    assert understood.not_used == ()


@pytest.mark.parametrize(
    "question",
    ["premium vs standard vs budget", "Compare premium, standard and budget", "today vs Monday vs Tuesday"],
)
def test_more_than_two_sides_are_refused(question: str) -> None:
    """A third side is an error that says what is accepted."""
    with pytest.raises(QuestionError, match="two names or two times are accepted"):
        _read(question)


def test_a_list_of_names_without_comparing_words_is_no_comparison() -> None:
    """Names in a list restrict the scope together."""
    understood = _read("Errors of premium and standard users, or of budget users")

    assert understood.sides == ()
    assert understood.scope.tiers == ("premium", "standard", "budget")


def test_arguments_overrule_the_text_and_the_text_is_told() -> None:
    """A window or scope given by the caller wins; the question's own is told as not used."""
    window = Window(_day(1), _day(2), "given as an argument")
    scope = Scope(tiers=("premium",), labels=("tier premium",))
    understood = _read("Errors of user_acme vs user_zeta yesterday", given_window=window, given_scope=scope)

    assert (understood.window, understood.scope, understood.sides) == (window, scope, ())
    assert {"user_acme", "user_zeta", "yesterday"} <= {w for p in understood.not_used for w in p.text.split()}
    assert _told("Errors of premium users", given_scope=scope) == []
