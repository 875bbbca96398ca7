"""What replies used raises or lowers what later conversations are told; forgetting undoes it."""

from __future__ import annotations

import pytest

from api.proxy.rewriting.learning import MAX_WEIGHT, MIN_SHOWN, MIN_WEIGHT, LearnedKind, used_kinds
from context_builder.conversation.record import TurnRecord
from models.database import Database
from tests.support.gateway import NOON, Gateway
from tests.support.proxied_chat import KEY, Chat, breaks, worker

TEXT = (
    "=== gateway context f0 ===\nAs of now.\n- health: gpt-4/aws is DOWN since 11:59\n"
    "- incidents: inc-77 (high): many errors\n=== end of gateway context f0 ==="
)


@pytest.mark.parametrize(
    ("reply", "used"),
    [
        ("gpt-4/aws is down, so I switch to gpt-4/azure.", ["health.state"]),
        ("That is inc-77, since 11:59.", ["health.state", "incidents.state"]),
        ("The gateway is down. I count 4 high errors.", []),
        ("", []),
    ],
)
def test_a_fact_is_used_where_its_names_or_figures_return(reply: str, used: list[str]) -> None:
    """Common words and single digits prove nothing."""
    record = TurnRecord("p", NOON, "c", TEXT, kinds=("health.state", "incidents.state"))
    shown, found = used_kinds(record, reply)
    assert dict(shown) == {"health.state": 1, "incidents.state": 1}
    assert sorted(+found) == used


def test_a_weight_needs_some_facts_and_stays_within_limits() -> None:
    """A kind that nobody has seen much of has the weight it always had."""
    assert LearnedKind("k", MIN_SHOWN - 1, 0).weight == 1.0
    assert LearnedKind("k", MIN_SHOWN, 0).weight == MIN_WEIGHT
    assert LearnedKind("k", 100, 100).weight == MAX_WEIGHT


@pytest.mark.both_databases
async def test_replies_teach_by_credential_and_forgetting_forgets(database: Database) -> None:
    """Counts add up over conversations, are told by kind, and go with their conversation."""
    await Gateway(database).deployment("gpt-4/aws")
    await breaks(database, "gpt-4/aws", NOON)
    async with worker(database) as here:
        for number in range(MIN_SHOWN):
            chat = Chat(here)
            chat.client.says(f"question {number}")
            await chat.sends(text="I see that gpt-4/aws is down." if number else "Fine.")
        (kind,) = await here.learning.learned(KEY)
        assert (kind.kind, kind.shown, kind.used) == ("health.state", MIN_SHOWN, MIN_SHOWN - 1)
        assert here.learning.weights(KEY) == {"health.state": kind.weight}
        assert here.learning.weights("another") == {}
        assert await here.learning.learned("another") == []
        conversation = chat.rewrites[0].conversation
        assert conversation is not None
        await here.rewriter.store.forget(conversation)
        (kind,) = await here.learning.learned()
        assert (kind.shown, kind.used) == (MIN_SHOWN - 1, MIN_SHOWN - 2)
