"""How requirements name what was hit: a deployment by model and backend, a group by its members."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from models import ConfigChange, Job
from tests.evaluation.ledger import Metric
from tests.evaluation.traffic import Slice
from tests.evaluation.truth import Event, Onset, Sign, Symptom, Words
from tests.evaluation.world import Deployed, World


def words_of(deployed: Deployed) -> Words:
    """Its model and its backend, which its public id holds both."""
    return frozenset({deployed.model, deployed.backend})


def of(*deployments: Deployed) -> Slice:
    """The requests of these deployments."""
    return Slice(deployments=frozenset(deployed.public_id for deployed in deployments))


def signs(deployments: Iterable[Deployed], *metrics: Metric) -> tuple[Sign, ...]:
    """Each deployment by itself, in each metric."""
    return tuple(Sign(words_of(one), of(one), metric) for one in deployments for metric in metrics)


def group_signs(world: World, name: str, *metrics: Metric) -> tuple[Sign, ...]:
    """A model or a backend by its name, or each of its deployments."""
    members = [deployed for deployed in world.deployments if name in (deployed.model, deployed.backend)]
    whole = tuple(Sign(frozenset({name}), of(*members), metric) for metric in metrics)
    return (*whole, *signs(members, *metrics))


def change_event(change: ConfigChange) -> Event:
    """The change by its id, or by parameter and new value."""
    assert change.new_value is not None
    return Event(
        "the configuration change",
        change.changed_at,
        (frozenset({change.public_id}), frozenset({change.parameter, change.new_value})),
        "config_changes",
        change.public_id,
    )


def job_event(job: Job, *others: Words) -> Event:
    """The job by its id, or by its target and what it brings."""
    assert job.started_at is not None
    bringing = frozenset({job.target, *job.detail.split(" -> ")[-1:]})
    return Event(
        f"the {job.type.replace('_', ' ')} job",
        job.started_at,
        (frozenset({job.public_id}), bringing, *others),
        "jobs",
        job.public_id,
    )


def log_event(name: str, at: datetime, word: str, *, causal: bool) -> Event:
    """A log line by its peculiar word."""
    return Event(name, at, (frozenset({word}),), "error_logs", word, causal)


def onset(symptom: Symptom, moments: tuple[datetime, ...] = ()) -> Onset:
    """When a symptom began."""
    return Onset(f"onset of {symptom.name}", moments or (symptom.affected[0],), symptom)
