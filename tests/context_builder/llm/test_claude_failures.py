"""Every failure of a call gives one line that says what to do, in time, and keeps what has arrived."""

from __future__ import annotations

import asyncio
import time
from unittest.mock import patch

import pytest

from context_builder.llm.chat_model import ModelUnavailable
from context_builder.llm.usage import Usage
from context_builder.prompt.prompt import Prompt
from tests.loopback.behaviour import Behaviour, BreakOff, Cut, Fail, Garbage, Hang, Reply
from tests.loopback.calls import PROMPT, ask, closed_port, failure
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import API_KEY, MessagesApi

SOON = {"retry-after-ms": "5"}
BAD_BYTES = b"event: ping\ndata: \xff\xfe\n\n"
USAGE = {"input_tokens": 61, "output_tokens": 30, "cache_read_input_tokens": 5}


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (Fail(status=401), "the API rejected the key (401); set ARCPOINT_ANTHROPIC_API_KEY to a valid key"),
        (Fail(status=400, message="too\nlong."), "the API refused the request (400): too long"),
        (Fail(status=402, message="no credit"), "the API requires payment (402): no credit; see"),
        (Fail(status=403), "does not let this key use claude-sonnet-5-5 (403)"),
        (Fail(status=404), "has no model claude-sonnet-5-5 (404); set ARCPOINT_MODEL"),
        (Fail(status=404, body=b"<h1>?"), "(404); check ARCPOINT_ANTHROPIC_BASE_URL"),
        (
            Fail(status=413),
            "the prompt is too large for the API (413): Request exceeds the maximum size; ask",
        ),
        (Fail(status=422, body=b"{}"), "the API refused the request (422)"),
        (Fail(status=400, message=f"\x1b[31m{API_KEY}" + "x" * 9999), "(400): [31m[key]xxx"),
    ],
)
async def test_a_refusal_is_final_and_says_what_to_do(
    messages_api: MessagesApi, make_claude: MakeClaude, fail: Fail, reason: str
) -> None:
    """A permanent failure is not retried and counts as unbilled."""
    messages_api.script(fail)
    error = await failure(await make_claude())
    assert reason in error.reason
    assert len(error.reason) < 500
    assert (error.partial_text, error.usage, error.refused) == ("", None, True)
    assert len(messages_api.messages) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_temporary_failure_is_retried(
    messages_api: MessagesApi, make_claude: MakeClaude, status: int
) -> None:
    """An overloaded or failing API is retried as often as configured."""
    messages_api.script(Fail(status=status, headers=SOON), Fail(status=status, headers=SOON))
    _, reply = await ask(await make_claude(max_retries=2))
    assert "[H1]" in reply.text
    assert len(messages_api.messages) == 3


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (Fail(status=429, headers=SOON), "the API's rate limit is reached (429): This request would exceed"),
        (Fail(status=529, headers=SOON), "the API is overloaded (529); try again in 1 s"),
        (Fail(status=500, headers=SOON), "the API failed (500): Internal server error; try again in 1 s"),
        (Fail(status=502, headers=SOON, body=b"<html>Bad gateway"), "the API failed (502); try again in 1 s"),
    ],
)
async def test_retries_end_where_configured(
    messages_api: MessagesApi, make_claude: MakeClaude, fail: Fail, reason: str
) -> None:
    """An API that stays unavailable is named after the last attempt."""
    messages_api.always(fail)
    error = await failure(await make_claude(max_retries=1))
    assert reason in error.reason
    assert len(messages_api.messages) == 2


@pytest.mark.parametrize(
    ("retry_after", "wait"), [("30", "30 s"), ("Fri, 31 Dec 9990 23:59:59 GMT", " s"), ("inf", "later")]
)
async def test_a_wait_beyond_the_deadline_fails_at_once(
    messages_api: MessagesApi, make_claude: MakeClaude, retry_after: str, wait: str
) -> None:
    """If the requested wait exceeds the deadline, there is no retry."""
    messages_api.script(Fail(status=429, headers={"retry-after": retry_after}))
    started = time.monotonic()
    error = await failure(await make_claude(deadline_s=25))
    assert time.monotonic() - started < 20, "the deadline, and less than the requested wait"
    assert "(429)" in error.reason
    assert wait in error.reason
    assert len(messages_api.messages) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-1", "nan", "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"]
)
async def test_an_invalid_wait_is_ignored(
    messages_api: MessagesApi, make_claude: MakeClaude, retry_after: str
) -> None:
    """With any invalid header, the call is retried and answered."""
    messages_api.script(Fail(status=529, headers={"retry-after": retry_after}))
    await ask(await make_claude())
    assert len(messages_api.messages) == 2


async def test_a_redirect_is_not_followed(messages_api: MessagesApi, make_claude: MakeClaude) -> None:
    """Law 4: the prompt is sent to the configured address only."""
    target = f"{messages_api.url}/v1/messages/count_tokens"
    messages_api.script(Fail(status=307, headers={"location": target}))
    error = await failure(await make_claude())
    assert "redirects (307); set ARCPOINT_ANTHROPIC_BASE_URL" in error.reason
    assert len(messages_api.journal.requests) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("hang", "deadline_s"),
    # The second is long enough for a loaded machine to have read something.
    [(Hang(seconds=60), 0.3), (Hang(seconds=60, after_pieces=2), 2.5)],
)
async def test_the_deadline_holds(
    messages_api: MessagesApi, make_claude: MakeClaude, hang: Hang, deadline_s: float
) -> None:
    """A silent API costs the deadline and no more, before the headers and within the stream."""
    messages_api.script(hang)
    started = time.monotonic()
    error = await failure(await make_claude(deadline_s=deadline_s))
    assert deadline_s - 0.05 < time.monotonic() - started < 30
    assert f"{deadline_s} s (ARCPOINT_MODEL_DEADLINE_S); ask again or raise the limit" in error.reason
    assert (error.usage is None) == (hang.after_pieces is None)
    assert not error.refused, "it may be billed all the same"
    await messages_api.until(lambda journal: journal.disconnects == 1)
    assert len(messages_api.messages) == 1


@pytest.mark.long
async def test_the_deadline_holds_for_a_slow_stream(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A stream that never ends is cut off even without pauses; its text is kept."""
    messages_api.script(Reply(text="word " * 1000, piece_length=5, delay_s=0.05))
    started = time.monotonic()
    error = await failure(await make_claude(deadline_s=1.5))
    assert time.monotonic() - started < 30
    assert error.partial_text.startswith("word word ")


@pytest.mark.long
async def test_the_deadline_error_names_the_last_failure(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """If retries run out of time, the reason includes the last failure."""
    messages_api.always(Fail(status=529))
    error = await failure(await make_claude(deadline_s=1.5, max_retries=9))
    assert error.reason.startswith("no reply within 1.5 s; the last attempt: the API is overloaded (529)")
    assert not error.refused, "an attempt may have been under way"


@pytest.mark.long
async def test_a_failure_before_a_successful_retry_is_not_reported(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A stream that runs out of time is not attributed to an earlier attempt."""
    messages_api.script(Fail(status=529, headers=SOON), Hang(seconds=60, after_pieces=1))
    error = await failure(await make_claude(deadline_s=1.5))
    assert error.reason.startswith("no complete reply within 1.5 s")


async def test_closing_the_client_ends_its_calls(messages_api: MessagesApi, make_claude: MakeClaude) -> None:
    """A service that stops leaves no call hanging, and a call after that fails with a clear reason."""
    messages_api.script(Hang(seconds=60, after_pieces=1))
    claude, began = await make_claude(max_retries=0), asyncio.Event()

    async def read() -> None:
        async for _ in claude.stream(PROMPT):
            began.set()

    reading = asyncio.create_task(read())
    await began.wait()
    await claude.close()
    with pytest.raises(ModelUnavailable, match="the connection broke during the reply: "):
        await reading
    assert "the client has been closed" in (await failure(claude)).reason


async def test_a_refused_connection_names_the_address(make_claude: MakeClaude) -> None:
    """A refused connection is retried, then reported with its address."""
    url = await closed_port()
    started = time.monotonic()
    with patch("anthropic._base_client.INITIAL_RETRY_DELAY", 0.5):
        error = await failure(await make_claude(base_url=url, max_retries=1))
    assert time.monotonic() - started > 0.3, "the pause before the second attempt"
    assert error.reason.startswith(f"cannot reach {url}: connection refused; check the network")
    assert error.refused, "nothing was ever sent"


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (Cut(after_pieces=2), "the connection broke during the reply: "),
        (Cut(after_pieces=2, clean=True), "it ended before the reply was complete; ask again"),
        (Cut(after_pieces=99, clean=True), "it ended before the reply was complete; ask again"),
        (BreakOff(after_pieces=2), "the API broke off the reply: overloaded_error: Overloaded; ask again"),
        (Garbage(after_pieces=2), "did not send a complete Messages stream: "),
        (Garbage(after_pieces=2, body=BAD_BYTES), "did not send a complete Messages stream: "),
        (Garbage(after_pieces=2, body=b"event: x\ndata: 7\n\n"), "unexpected event 7; ask again"),
    ],
)
async def test_a_broken_reply_keeps_its_text_and_usage_and_is_not_repeated(
    messages_api: MessagesApi, make_claude: MakeClaude, cut: Cut | BreakOff | Garbage, reason: str
) -> None:
    """Law 4: a reply that has begun is paid for: its text is kept and there is no second call."""
    whole = "gpt-4/aws is unhealthy [H1] and there were 17 errors [H2]"
    script: Behaviour = type(cut)(**(vars(cut) | {"reply": Reply(text=whole, piece_length=8, usage=USAGE)}))
    messages_api.script(script)
    error = await failure(await make_claude())
    assert reason in error.reason
    assert error.partial_text == whole[: 8 * (cut.after_pieces or 0)]
    assert error.usage == Usage(61, 1, cache_read_tokens=5)
    assert not error.refused
    assert len(messages_api.messages) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        Garbage(),
        Garbage(body=b""),
        Garbage(body=b"<html>Sign in to the network", content_type="text/html"),
        Garbage(body=b'{"type": "message"}', content_type="application/json"),
        Garbage(body=BAD_BYTES),
        Garbage(body=b'event: message_stop\ndata: {"type": "message_stop"}\n\n'),
        Garbage(body=b'event: message_start\ndata: {"type": "message_start"}\n\n'),
    ],
)
async def test_a_response_that_is_not_a_messages_stream_is_reported(
    messages_api: MessagesApi, make_claude: MakeClaude, garbage: Garbage
) -> None:
    """Status 200 alone is not a reply: the reason points to the configured address."""
    messages_api.script(garbage)
    error = await failure(await make_claude())
    assert "did not send a complete Messages stream" in error.reason
    assert error.reason.endswith("check ARCPOINT_ANTHROPIC_BASE_URL")
    assert (error.partial_text, error.usage, error.refused) == ("", None, False)


async def test_text_that_is_not_unicode_is_not_sent(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A lone surrogate, which a shell can pass, gives a clear error and costs nothing."""
    error = await failure(await make_claude(), Prompt(system="rules", user="what is \udcff?"))
    assert "the prompt cannot be sent, it is not valid Unicode" in error.reason
    assert messages_api.journal.requests == []


async def test_one_failure_leaves_the_other_calls_alone(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """Concurrent calls fail and succeed independently."""
    messages_api.script(Cut(after_pieces=1), Fail(status=400), Reply(delay_s=0.05), Garbage())
    claude = await make_claude()
    results = await asyncio.gather(*(ask(claude, PROMPT) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, tuple) for result in results) == 5
