"""Admission: the bounds hold, turns are fair, and who leaves is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.http.admission import Admission, Overloaded, QueueState
from tests.support.patience import PATIENCE_S

SLOTS, MAX_WAITING = 2, 6
Step = tuple[str, str | int]

_arrive = st.tuples(st.just("arrive"), st.sampled_from(["ada", "bob", "eve", "zoe"]))
_end = st.tuples(st.sampled_from(["finish", "leave"]), st.integers(0, 50))
steps = st.lists(st.one_of(_arrive, _arrive, _end, st.just(("settle", 0))), min_size=15, max_size=60)


@dataclass(eq=False)
class Visit:
    """One request."""

    asker: str
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    phase: str = "arriving"


class Traffic:
    """Requests that arrive, work until they are told to finish, and leave at any moment."""

    def __init__(self) -> None:
        self.admission = Admission(slots=SLOTS, max_waiting=MAX_WAITING, max_wait_s=PATIENCE_S)
        self.visits: list[Visit] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.passed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """How often each waiting asker saw each other one admitted since its own last turn."""

    def do(self, step: Step) -> None:
        match step:
            case "arrive", str(asker):
                self.visits.append(Visit(asker))
                self.tasks.append(asyncio.create_task(self._visit(self.visits[-1])))
            case "finish", int(number) if self.visits:
                self.visits[number % len(self.visits)].finish.set()
            case "leave", int(number) if self.tasks:
                self.tasks[number % len(self.tasks)].cancel()

    async def settle(self) -> QueueState:
        """Let everybody do what is to be done; then what is counted is what is there."""
        for _ in range(8):
            await asyncio.sleep(0)
        state = self.admission.state()
        assert state.at_work == len(self.of("working"))
        assert state.waiting == len(self.of("waiting"))
        assert state.waiting == 0 or state.at_work == SLOTS, "a slot is free while somebody waits"
        return state

    def of(self, phase: str) -> list[str]:
        """The askers of all requests in a phase."""
        return [visit.asker for visit in self.visits if visit.phase == phase]

    async def end(self) -> QueueState:
        """Cancel everything."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.admission.state()

    async def _visit(self, visit: Visit) -> None:
        visit.phase = "waiting"
        try:
            async with self.admission.slot(visit.asker):
                visit.phase = "working"
                assert len(self.of("working")) <= SLOTS
                self.passed[visit.asker].clear()
                for other in set(self.of("waiting")) - {visit.asker}:
                    self.passed[other][visit.asker] += 1
                await visit.finish.wait()
        except Overloaded:
            visit.phase = "refused"
        finally:
            visit.phase = visit.phase if visit.phase == "refused" else "gone"


@pytest.mark.long
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_bounds_hold_whatever_comes_and_goes_at_the_same_moment(steps: Sequence[Step]) -> None:
    """Never more at work or waiting than allowed, no slot idle or lost, and no trace of who has left."""

    async def run() -> None:
        traffic = Traffic()
        for step in steps:
            traffic.do(step)
            if step[0] == "settle":
                await traffic.settle()
            state = traffic.admission.state()
            assert state.at_work <= SLOTS
            assert state.waiting <= MAX_WAITING
        await traffic.settle()
        state = await traffic.end()
        assert (state.at_work, state.waiting, state.oldest_waiting_s) == (0, 0, 0.0)
        assert state.refused == len(traffic.of("refused"))

    asyncio.run(run())


@pytest.mark.long
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_askers_take_turns_and_share_the_queue(steps: Sequence[Step]) -> None:
    """Nobody who waits sees another asker admitted twice, or is refused while one of them waits for more."""

    async def run() -> None:
        traffic = Traffic()
        for step in steps:
            before = Counter(traffic.of("waiting"))
            refused = Counter(traffic.of("refused"))
            traffic.do(step)
            await traffic.settle()
            waiting = Counter(traffic.of("waiting"))
            for asker in list(traffic.passed):
                if not waiting[asker]:
                    traffic.passed[asker].clear()
                assert all(times == 1 for times in traffic.passed[asker].values())
            for asker in Counter(traffic.of("refused")) - refused:
                assert before.total() == MAX_WAITING, "refused although there was room"
                assert waiting[asker] >= max(waiting.values()) - 1, "refused below its fair share"
        await traffic.end()

    asyncio.run(run())


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ada", "bob", "eve"]), min_size=1, max_size=MAX_WAITING))
def test_within_an_asker_the_first_to_come_is_the_first_to_work(askers: Sequence[str]) -> None:
    """Admission goes round the askers, and by arrival within each."""

    async def run() -> list[int]:
        admission, order = Admission(slots=1, max_waiting=MAX_WAITING, max_wait_s=PATIENCE_S), []

        async def work(asker: str, number: int) -> None:
            async with admission.slot(asker):
                order.append(number)

        async with asyncio.TaskGroup() as group, admission.slot("first"):
            for number, asker in enumerate(askers):
                group.create_task(work(asker, number))
            await _until_waiting(admission, len(askers))
        return order

    rounds = [askers[:number].count(asker) for number, asker in enumerate(askers)]
    places = [askers.index(asker) for asker in askers]
    assert asyncio.run(run()) == sorted(range(len(askers)), key=lambda n: (rounds[n], places[n]))


async def test_a_turn_that_does_not_come_in_time_is_a_refusal() -> None:
    """The waiter is told, counted and forgotten; who works is not disturbed."""
    admission = Admission(slots=1, max_waiting=5, max_wait_s=0.001)
    async with admission.slot("ada"):
        with pytest.raises(Overloaded, match=r"no turn came within 0.001 s; try again in 5 s$"):
            async with admission.slot("bob"):
                pytest.fail("there is one slot")
        state = admission.state()
        assert (state.at_work, state.waiting, state.refused) == (1, 0, 1)
    assert admission.state().at_work == 0


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("work_s", "retry_after_s"), [(0.001, 1), (3.0, 6), (1000.0, 60)])
async def test_retry_after_is_what_the_queue_takes_at_the_observed_rate(
    work_s: float, retry_after_s: int
) -> None:
    """Three waiting and one more take two rounds of work at two at once; between 1 s and a minute."""
    clock = Clock()
    admission = Admission(slots=2, max_waiting=3, max_wait_s=1e9, clock=clock)
    async with admission.slot("ada"):
        clock.now += work_s
    async with asyncio.TaskGroup() as group, admission.slot("ada"), admission.slot("ada"):
        for _ in range(3):
            group.create_task(_pass_through(admission))
        await _until_waiting(admission, 3)
        clock.now += 7
        assert admission.state().oldest_waiting_s == 7.0
        with pytest.raises(Overloaded) as refusal:
            await _pass_through(admission)
    assert refusal.value.retry_after_s == retry_after_s


async def test_nobody_waits_for_a_turn_that_will_come_too_late() -> None:
    """With 4 s of work for one slot, two may wait within 10 s; an asker without any has an early turn."""
    clock = Clock()
    admission = Admission(slots=1, max_waiting=9, max_wait_s=10.0, clock=clock)
    async with admission.slot("ada"):
        clock.now += 4
    async with asyncio.TaskGroup() as group, admission.slot("ada"):
        for _ in range(2):
            group.create_task(_pass_through(admission))
        await _until_waiting(admission, 2)
        with pytest.raises(Overloaded, match=r"a turn takes more than 10 s; try again in 12 s$"):
            await _pass_through(admission)
        group.create_task(_pass_through(admission, "bob"))
        await _until_waiting(admission, 3)


async def _until_waiting(admission: Admission, number: int) -> None:
    while admission.state().waiting < number:  # noqa: ASYNC110  it has no event, and needs none
        await asyncio.sleep(0)


async def _pass_through(admission: Admission, asker: str = "ada") -> None:
    async with admission.slot(asker):
        pass


async def test_without_a_queue_the_next_one_is_refused_at_once() -> None:
    """A bound without waiting is the same with no room to wait."""
    admission = Admission(slots=1, max_waiting=0, max_wait_s=PATIENCE_S)
    async with admission.slot("ada"):
        with pytest.raises(Overloaded, match="1 are at work and 0 wait"):
            await _pass_through(admission)
    await _pass_through(admission)
