"""A fault is told in one place: its changes, its candidate causes in their order, and its first signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.events import Event
from context_builder.exploration.faults import MAX_CAUSES, Fault, faults_of
from context_builder.exploration.series.metric import Metric
from models import ConfigChange
from tests.context_builder.exploration.test_change_point import shift
from tests.support.gateway import HOUR, MINUTE

AWS, K8S = (shift(deployment=name) for name in ("gpt-4/aws", "llama/k8s"))


def event(
    target: str, minutes: int = -5, kind: str = "config", text: str = "changed", **values: Any
) -> Event:
    """An event some minutes before or after the onset."""
    return Event(at=AWS.earliest + minutes * MINUTE, kind=kind, text=text, target=target, **values)


def faults(*events: Event, shifts: tuple[ChangePoint, ...] = (AWS,)) -> list[Fault]:
    return faults_of(shifts, events, frozenset())


def causes(fault: Fault) -> list[Event]:
    return [one.event for one in fault.causes]


def test_changes_of_one_target_that_began_together_are_one_fault() -> None:
    """Latency of the same requests belongs to the failures; other targets and times are other faults."""
    slow = replace(shift(deployment="gpt-4/aws", tier="premium"), metric=Metric.LATENCY)
    late = replace(
        slow, onset=AWS.onset + 3 * HOUR, earliest=AWS.onset + 3 * HOUR, latest=AWS.onset + 4 * HOUR
    )
    found = faults(shifts=(AWS, slow, K8S, late))
    assert [one.change for one in found] == [AWS, K8S, late]


def test_each_fault_has_the_cause_on_its_own_target_first() -> None:
    """What was done to the target of one fault comes first there, and last for the other."""
    model = replace(K8S, slice=shift(deployment="gpt-4/gcp").slice)
    own, other = event("gpt-4/gcp", -20), event("gpt-4/aws", -2)
    first, second = faults(own, other, shifts=(AWS, model))
    assert causes(first)[0] is other
    assert causes(second)[0] is own


def test_candidates_are_on_the_target_or_on_what_it_depends_on() -> None:
    """The target and its backend, not what is elsewhere; where there are none, the best elsewhere."""
    own, parent, away = event("gpt-4/aws", -30), event("aws", -3), event("mistral/gcp", -1)
    assert causes(faults(away, parent, own)[0]) == [own, parent]
    assert len(causes(faults(*[event("gpt-4/aws", -n) for n in range(2, 9)])[0])) == MAX_CAUSES
    (alone,) = faults(away, event("bedrock/gcp", -50))
    assert causes(alone) == [away]
    assert not alone.causes[0].is_related


def test_only_what_came_before_the_onset_may_have_caused_it() -> None:
    """Events after the onset, or hours before it, are no candidates, and neither are signs."""
    after, long_ago = event("gpt-4/aws", 20), event("gpt-4/aws", -7 * 60)
    assert not faults(after, long_ago, event("gpt-4/aws", -1, "incident"))[0].causes


def test_a_job_and_the_audit_entry_of_its_start_are_one_candidate() -> None:
    """Two records of one act on one target within a minute take one place."""
    job, audit, other = (
        event("gpt-4/aws", kind="job"),
        event("gpt-4/aws", kind="audit"),
        event("gpt-4/aws", -9),
    )
    assert causes(faults(audit, job, other)[0]) == [job, other]


def test_what_people_did_elsewhere_is_no_candidate() -> None:
    """An audit entry counts on the target alone, even where nothing else is recorded."""
    assert not faults(event("gateway", kind="audit"), event("aws", kind="audit"))[0].causes


def test_more_requests_of_the_same_are_told_with_what_fails() -> None:
    """A rise of a slice that shares requests, at about the onset; not elsewhere, later or of what is well."""
    rise = replace(
        AWS,
        metric=Metric.VOLUME,
        after=4.0,
        before=1.0,
        slice=shift(deployment="gpt-4/aws", tier="premium").slice,
    )
    later = replace(
        rise, onset=AWS.onset + 3 * HOUR, earliest=AWS.onset + 3 * HOUR, latest=AWS.onset + 4 * HOUR
    )
    away = replace(rise, slice=K8S.slice)
    assert faults(shifts=(AWS, away, later, rise))[0].demand is rise
    assert faults(shifts=(AWS, away, later))[0].demand is None
    assert faults(shifts=(replace(AWS, after=0.001), rise))[0].demand is None


def test_an_outage_elsewhere_is_a_candidate_and_ones_own_is_a_sign() -> None:
    """Traffic moves away from what is down; that the target itself went down shows the fault."""
    elsewhere = event("gpt-4/gcp", -4, "outage", is_bad=True)
    own = event("gpt-4/aws", 3, "outage", is_bad=True)
    log, recovery = event("gpt-4/aws", 1, "log"), event("gpt-4/aws", 2, "state")
    later = replace(log, at=log.at + timedelta(minutes=1))
    (fault,) = faults(elsewhere, own, recovery, later, log)
    assert causes(fault) == [elsewhere]
    assert [one.event for one in fault.signs] == [log, own]


def test_a_change_whose_value_new_log_lines_name_comes_first() -> None:
    """`no answer within 1500 ms` speaks for the change to 1500, however near another change is."""
    rows = [ConfigChange(new_value=value) for value in ("1500", "60")]
    logged, near = (
        event("gpt-4/aws", minutes, row=row) for minutes, row in zip((-50, -2), rows, strict=True)
    )
    line = event("gpt-4/aws", 3, "log", "gpt-4/aws began logging «no answer within 1500 ms, retry in 60 s»")
    assert causes(faults(near, logged, line)[0]) == [logged, near]
    assert causes(faults(near, logged)[0])[0] is near
