"""One request to a target, within bounds of time and size."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Self

import httpx

from api.errors import ArcpointApiError
from api.ingest.errors import IngestError
from api.ingest.live.body import unpack
from api.pollers.targets import MAX_DEADLINE_S, Target
from api.version import version

_MAX_REDIRECTS = 3
_MAX_RETRY_AFTER_S = 3_600.0
_NOT_MODIFIED = 304
_SERVER_ERRORS = 500


class PollFailed(ArcpointApiError):
    """A target gave no answer that can be used; the message says why."""

    def __init__(self, message: str, *, is_silent: bool = False, retry_after_s: float = 0.0) -> None:
        """`is_silent` is True if what was asked does not work, rather than what is asked for is wrong."""
        super().__init__(message)
        self.is_silent = is_silent
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a target answered."""

    body: bytes | None
    """None: the same as the last time."""
    etag: str
    elapsed_ms: int


class Fetcher:
    """Asks targets over HTTP; goes to no other host than the one that is configured."""

    def __init__(self) -> None:
        """Read certificates; blocks."""
        self._agent = f"arcpoint/{version()}"
        # Each request has a deadline as a whole, which is shorter.
        self._client = httpx.AsyncClient(timeout=MAX_DEADLINE_S, trust_env=False, follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, target: Target, etag: str = "") -> Fetched:
        """Return what the target answers; `etag` is that of the last answer.

        Raises:
            PollFailed: there is no answer, or none that can be used.
        """
        try:
            async with asyncio.timeout(target.deadline_s):
                return await self._get(target, etag)
        except TimeoutError:
            raise PollFailed(f"no whole answer within {target.deadline_s:g} s", is_silent=True) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise PollFailed(f"the address cannot be used: {error}") from None
        except httpx.HTTPError as error:
            raise PollFailed(f"no answer: {error or type(error).__name__}", is_silent=True) from None
        except IngestError as error:
            raise PollFailed(str(error)) from None

    async def _get(self, target: Target, etag: str) -> Fetched:
        began, url = time.monotonic(), httpx.URL(target.url)
        headers = {name: value.get_secret_value() for name, value in target.headers.items()}
        headers |= {"accept-encoding": "gzip", "user-agent": self._agent}
        headers |= {"if-none-match": etag} if etag else {}
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._client.stream("GET", url, headers=headers) as response:
                if response.has_redirect_location:
                    url = _next_url(url, response.headers["location"])
                    continue
                elapsed_ms = round((time.monotonic() - began) * 1000)
                if response.status_code == _NOT_MODIFIED and etag:
                    return Fetched(None, etag, elapsed_ms)
                if response.status_code != httpx.codes.OK:
                    raise _refusal(response)
                return Fetched(await _body(response, target), response.headers.get("etag", ""), elapsed_ms)
        raise PollFailed(f"more than {_MAX_REDIRECTS} redirects")


async def _body(response: httpx.Response, target: Target) -> bytes:
    """Return the body unpacked; neither form may be larger than the target's limit."""
    limit = int(target.max_mb * 2**20)
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > limit:
            raise PollFailed(f"the answer is larger than {target.max_mb:g} MiB (max_mb)")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return await asyncio.to_thread(unpack, bytes(received), encoding, limit, lambda _: None)


def _next_url(url: httpx.URL, location: str) -> httpx.URL:
    """Return where a redirect leads. Raises PollFailed if that is another host, or no longer encrypted."""
    target = url.join(location)
    if target.host != url.host or (url.scheme == "https" and target.scheme != "https"):
        raise PollFailed(f"redirects to {target.scheme}://{target.host}, which is not followed")
    return target


def _refusal(response: httpx.Response) -> PollFailed:
    wait = response.headers.get("retry-after", "")
    return PollFailed(
        f"HTTP status {response.status_code}",
        is_silent=response.status_code >= _SERVER_ERRORS,
        retry_after_s=min(float(wait), _MAX_RETRY_AFTER_S) if wait.isdecimal() else 0.0,
    )
