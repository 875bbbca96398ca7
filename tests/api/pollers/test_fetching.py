"""A target costs at most its deadline and its size, and leads nowhere else."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from api.pollers.fetching import Fetcher, PollFailed
from tests.api.pollers.conftest import target_of
from tests.loopback.raw_upstream import ABORT, HANG, Answer, RawUpstream, chunk, whole

MEGABYTE = 2**20
ENDLESS = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    *[chunk(b" " * MEGABYTE)] * 50,
)


async def test_what_has_not_changed_is_not_sent_again(upstream: RawUpstream) -> None:
    """The tag of the last answer goes with the next request, and so do the target's own headers."""
    target = target_of(url=upstream.url, headers={"authorization": "Bearer secret"})
    upstream.script(whole(b"{}", headers={"etag": 'W/"1"'}), whole(b"", 304))
    async with await asyncio.to_thread(Fetcher) as fetcher:
        first = await fetcher.get(target)
        again = await fetcher.get(target, first.etag)
    assert (first.body, again.body, again.etag) == (b"{}", None, 'W/"1"')
    assert [request.target for request in upstream.requests] == ["/api/v2/summary.json"] * 2
    assert [request.values("if-none-match") for request in upstream.requests] == [[], ['W/"1"']]
    assert upstream.requests[0].values("authorization") == ["Bearer secret"]
    assert "secret" not in repr(target)


@pytest.mark.parametrize(
    ("answer", "reason", "is_silent"),
    [
        (whole(b"x", 500), "HTTP status 500", True),
        (whole(b"x", 404), "HTTP status 404", False),
        (whole(b"", 304), "HTTP status 304", False),
        ((HANG,), "no whole answer within 0.2 s", True),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", HANG), "no whole answer within 0.2 s", True),
        ((ABORT,), "no answer: ", True),
        ((b"\0\1garbage\r\n\r\n", ABORT), "no answer: ", True),
        (whole(b" " * 2 * MEGABYTE), r"larger than 1 MiB \(max_mb\)", False),
        (ENDLESS, r"larger than 1 MiB \(max_mb\)", False),
        (
            whole(gzip.compress(b" " * 50 * MEGABYTE), headers={"content-encoding": "gzip"}),
            "at most 1,048,576 bytes",
            False,
        ),
        (whole(b"x", headers={"content-encoding": "gzip"}), "not gzip", False),
        (whole(b"x", headers={"content-encoding": "br"}), "gzip, zstd", False),
        (
            whole(b"", 302, headers={"location": "http://example.invalid/x"}),
            "redirects to http://example",
            False,
        ),
        (whole(b"", 302, headers={"location": "file:///etc/passwd"}), "redirects to file://", False),
        (whole(b"", 302, headers={"location": "/again"}), "more than 3 redirects", False),
    ],
)
async def test_an_answer_that_cannot_be_used_says_why(
    upstream: RawUpstream, answer: Answer, reason: str, *, is_silent: bool
) -> None:
    """Only what shows that the other side does not work counts as its silence."""
    upstream.default = answer
    target = target_of(url=upstream.url, deadline_s=0.2 if HANG in answer else 5, max_mb=1)
    async with await asyncio.to_thread(Fetcher) as fetcher:
        with pytest.raises(PollFailed, match=reason) as caught:
            await fetcher.get(target)
    assert caught.value.is_silent == is_silent


async def test_a_path_of_the_same_host_is_followed_and_a_pause_is_heard(upstream: RawUpstream) -> None:
    """Nobody listening is silence, too."""
    upstream.script(
        whole(b"", 301, headers={"location": "/v2/summary.json"}),
        whole(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
        whole(b"", 429, headers={"retry-after": "900"}),
    )
    async with await asyncio.to_thread(Fetcher) as fetcher:
        assert (await fetcher.get(target_of(url=f"{upstream.url}/summary"))).body == b"{}"
        with pytest.raises(PollFailed, match="429") as caught:
            await fetcher.get(target_of(url=upstream.url))
        assert caught.value.retry_after_s == 900
        with pytest.raises(PollFailed) as refused:
            await fetcher.get(target_of())
    assert refused.value.is_silent
