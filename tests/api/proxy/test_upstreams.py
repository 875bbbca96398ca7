"""Several upstreams: which one is asked, and what becomes of a request when it fails."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from multidict import CIMultiDict
from yarl import URL

from api.proxy.call import Call
from api.proxy.client.credentials import Senders
from api.proxy.forwarding.risk_choice import RiskChoice
from api.proxy.forwarding.upstream import Upstream
from api.proxy.forwarding.upstreams import FAILURES_TO_OPEN, OPEN_S, InOrder, Upstreams
from api.proxy.opening import senders_of
from api.proxy.proxy_file import ProxyFile
from api.risk_ticker import RiskTicker
from api.settings import Settings, SettingsError
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.risk.policy.breaker import BreakerState
from context_builder.risk.policy.probes import ProbeTickets
from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictTable
from models.database import Database
from tests.loopback.raw_upstream import RawUpstream, error, raw_upstream, whole
from tests.support.gateway import NOON
from tests.support.served_proxy import served_proxy

NAMES = ("first", "second", "third")
MESSAGE = whole(b'{"type":"message","model":"m","content":[]}')


def call_of(conversation: str | None = None) -> Call:
    call = Call("req_1", "POST", "/v1/messages", "/v1/messages", CIMultiDict())
    call.sent = Rewrite(b"", conversation)
    return call


def upstreams_of(clock: Sequence[float] = (0.0,), **options: object) -> Upstreams:
    now = list(clock)
    upstreams = [Upstream(name, f"http://{name}") for name in NAMES]
    return Upstreams(upstreams, clock=lambda: now[0] if len(now) == 1 else now.pop(0), **options)  # type: ignore[arg-type]


class Chooses(InOrder):
    """Always the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    def choose(self, call: Call, names: Sequence[str]) -> str:
        del call, names
        return self.name


def test_each_is_tried_once_before_one_is_tried_again() -> None:
    """In the order of the one who chooses, whose nonsense is not followed."""
    upstreams, call = upstreams_of(), call_of()
    asked = []
    for _ in range(4):
        upstream = upstreams.choose(call)
        call.tried.add(upstream.name)
        asked.append(upstream.name)
    assert asked == [*NAMES, "first"]
    assert upstreams_of(choice=Chooses("third")).choose(call_of()).name == "third"
    assert upstreams_of(choice=Chooses("nonsense")).choose(call_of()).name == "first"


def test_a_conversation_stays_where_its_prompt_cache_is_warm_until_the_breaker_opens() -> None:
    """Others go where they are sent; after a pause it is tried there again."""
    now = [0.0]
    upstreams = Upstreams([Upstream(name, "http://x") for name in NAMES], clock=lambda: now[0])
    second = Upstream("second", "http://x")
    upstreams.answered(call_of("a"), second, failed=False)
    assert upstreams.choose(call_of("a")).name == "second"
    assert upstreams.choose(call_of("b")).name == upstreams.choose(call_of()).name == "first"
    for _ in range(FAILURES_TO_OPEN):
        assert upstreams.choose(call_of("a")).name == "second"
        upstreams.answered(call_of("a"), second, failed=True)
    assert upstreams.choose(call_of("a")).name == "first"
    now[0] = OPEN_S
    assert upstreams.choose(call_of("a")).name == "second"


def test_where_all_breakers_are_open_one_is_asked_all_the_same() -> None:
    """A request that may succeed is better than one that is refused."""
    upstreams = upstreams_of()
    for name in NAMES * FAILURES_TO_OPEN:
        upstreams.answered(call_of(), Upstream(name, "http://x"), failed=True)
    assert upstreams.choose(call_of()).name == "first"


def risk_of(verdicts: Mapping[str, BreakerState], *, shadow: bool = False) -> RiskChoice:
    """The routing policy after a tick, over deployments of one model."""
    ticker = RiskTicker(Database("sqlite:////none/none.db"), every_s=0.0)
    usable = [name for name, state in verdicts.items() if state is BreakerState.CLOSED]
    table = {
        f"m/{name}": RoutingVerdict(
            f"m/{name}", state, len(usable) ** -1 if name in usable else 0.0, 1 / len(verdicts),
            tickets=ProbeTickets(100 if state is BreakerState.HALF_OPEN else 0),
        )
        for name, state in verdicts.items()
    }  # fmt: skip
    ticker.board.post(VerdictTable(NOON, table, shadow=shadow))
    return RiskChoice(ticker, random.Random(3))  # noqa: S311


def asking(model: str, conversation: str | None = None) -> Call:
    call = call_of(conversation)
    call.request = ProxiedRequest("/v1/messages", {}, f'{{"model":"{model}"}}'.encode(), "c")
    return call


def test_the_policy_chooses_and_a_warm_conversation_leaves_what_it_has_ejected() -> None:
    """An ejected one gets nothing, a half-open one its probes; in shadow mode all keep their shares."""
    states = dict(zip(NAMES, (BreakerState.OPEN, BreakerState.CLOSED, BreakerState.CLOSED), strict=True))
    upstreams = upstreams_of(choice=risk_of(states))
    upstreams.answered(asking("m", "warm"), Upstream("first", "http://x"), failed=False)
    assert upstreams.choose(asking("m", "warm")).name != "first"
    asked = Counter(upstreams.choose(asking("m")).name for _ in range(400))
    assert asked.keys() == {"second", "third"}
    returning = upstreams_of(choice=risk_of(states | {"first": BreakerState.HALF_OPEN}))
    probes = Counter(returning.choose(asking("m")).name for _ in range(400))
    assert 0 < probes["first"] < 100
    shadow = upstreams_of(choice=risk_of(states, shadow=True))
    shadow.answered(asking("m", "warm"), Upstream("first", "http://x"), failed=False)
    assert shadow.choose(asking("m", "warm")).name == "first"
    assert {shadow.choose(asking("m")).name for _ in range(100)} == set(NAMES)


def test_an_upstream_without_traffic_gets_an_equal_part_of_it() -> None:
    """Else it would never have any; of a model that nobody has asked for all are equal."""
    upstreams = upstreams_of(choice=risk_of({"first": BreakerState.CLOSED}))
    asked = Counter(upstreams.choose(asking("m")).name for _ in range(300))
    assert asked.keys() == set(NAMES)
    assert min(asked.values()) > 60
    assert {upstreams.choose(asking("other")).name for _ in range(100)} == set(NAMES)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[RawUpstream, RawUpstream]]:
    async with raw_upstream() as one, raw_upstream() as other:
        yield one, other


def written(path: Path, pair: tuple[RawUpstream, RawUpstream], more: str = "") -> Path:
    """A proxy file with both upstreams, the second with a key of its own."""
    text = f"""
        [[upstreams]]
        name = "one"
        url = "{pair[0].url}"
        [[upstreams]]
        name = "other"
        url = "{pair[1].url}"
        api_key = "sk-ant-ours"
        [[users]]
        digest = "{senders_of(Settings()).digest("sk-ant-theirs")}"
        user = "user_ada"
        tier = "premium"
        {more}
    """
    path.write_text(text)
    return path


async def test_a_request_falls_back_to_another_upstream(
    pair: tuple[RawUpstream, RawUpstream], tmp_path: Path
) -> None:
    """Before the first byte, at once, with the same body and with the credential that belongs there."""
    pair[0].default, pair[1].default = error(503, "api_error"), MESSAGE
    database = Database("sqlite:////none/none.db")
    file = written(tmp_path / "proxy.toml", pair)
    async with (
        served_proxy(database, pair[0].url, read_only=True, proxy_file=file, proxy_retries=0) as proxy,
        proxy.client() as client,
    ):
        headers = {"authorization": "Bearer sk-ant-theirs"}
        answer = await client.post("/v1/messages", content=b'{"a" :1}', headers=headers)
        stranger = await client.post("/v1/messages", content=b"{}", headers={"x-api-key": "sk-ant-unknown"})
    await database.close()
    assert answer.status_code == 200
    assert [each.body for upstream in pair for each in upstream.requests] == [b'{"a" :1}'] * 2
    assert pair[0].requests[0].values("authorization") == ["Bearer sk-ant-theirs"]
    assert pair[1].requests[0].values("x-api-key") == ["sk-ant-ours"]
    assert "authorization" not in pair[1].requests[0].names
    assert (stranger.status_code, stranger.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize("raw_path", [b"@evil.example/v1", b".evil.example", b"*", b"//evil.example", b"/v1"])
def test_no_path_leads_to_another_host(raw_path: bytes) -> None:
    """Whatever a client sends as its target, its key goes to the upstream."""
    scope = {"method": "GET", "path": "/", "raw_path": raw_path, "query_string": b"", "headers": []}
    assert URL("https://up.example" + Call.of(scope).target, encoded=True).host == "up.example"


def test_a_key_makes_the_same_sender_however_it_is_sent() -> None:
    """And another key of the digests makes another one; neither is the credential."""
    ours, others = senders_of(Settings()), Senders(b"another key")
    assert ours.digest("sk-ant-x") == ours.sender_of("sk-ant-x").credential
    assert len({ours.digest("sk-ant-x"), ours.digest("sk-ant-y"), others.digest("sk-ant-x")}) == 3
    assert ours.sender_of("").user.id == "anonymous"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[upstreams]]\nname = 'a b'\nurl = 'http://x'", "upstreams.0.name: String should match"),
        ("[[upstreams]]\nname = 'a'\nurl = 'ftp://x'", "upstreams.0.url: expected http://host"),
        ("[[upstreams]]\nname = 'a'\nurl = 'http://me:hunter22@x'", "clients send their own keys"),
        ("[[upstreams]]\nname = 'a'\nurl = 'http://x'\n" * 2, "each needs a name of its own"),
        ("[[users]]\ndigest = 'hunter22'\nuser = 'a'", "users.0.digest: String should match"),
        ("[[users]]\nkey = 'hunter22'", "users.0.key: Extra inputs are not permitted"),
        ("[[users", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, content: str, said: str) -> None:
    """And what would be accepted, without repeating what may be a secret."""
    path = tmp_path / "proxy.toml"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        ProxyFile.load(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "hunter22" not in str(caught.value)
