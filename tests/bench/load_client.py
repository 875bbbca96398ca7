"""A client of the load bench, in a process of its own: asks over many connections and prints what it got.

Raw HTTP/1.1, since a client that is as busy as the service would measure itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field

DEGRADED = (b'"status":"timeout"', b'"status":"error"')
"""In a manifest: quotes within texts are escaped, so no fact looks like it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, how often and how long."""

    port: int
    questions: tuple[str, ...]
    """Asked in turn."""
    seconds: float
    grace_s: float
    """How long answers are awaited after the last question."""
    concurrency: int
    """Connections; each asks again when it has its answer."""
    rate: float | None = None
    """Questions a second, whether or not earlier ones are answered; None: as fast as answers come."""


@dataclass(slots=True)
class Outcome:
    """What became of the questions."""

    milliseconds: list[float] = field(default_factory=list)
    """Of each question that was answered."""
    refused: int = 0
    unanswered: int = 0
    failed: int = 0
    """Answered with another status than 200 and 503."""
    degraded: int = 0
    """Answered, but a source failed or timed out."""
    seconds: float = 0.0
    """From the first question to the last answer."""


class Client:
    """Asks and counts."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._questions: Iterator[str] = itertools.cycle(load.questions)
        self._last_question = time.perf_counter() + load.seconds
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Ask for the whole time, then wait for the last answers."""
        started = time.perf_counter()
        tasks = [asyncio.create_task(work) for work in self._work()]
        await asyncio.wait(tasks, timeout=self._load.seconds + self._load.grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.outcome.seconds = self.outcome.seconds - started if self.outcome.milliseconds else 0.0
        return self.outcome

    def _work(self) -> Iterator[Coroutine[None, None, None]]:
        if self._load.rate is None:
            yield from (self._ask_again() for _ in range(self._load.concurrency))
        else:
            number = round(self._load.seconds * self._load.rate)
            yield from (self._ask_once(n / self._load.rate) for n in range(number))

    async def _ask_once(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._connected(once=True)

    async def _ask_again(self) -> None:
        while time.perf_counter() < self._last_question:
            wait_s = await self._connected(once=False)
            await asyncio.sleep(min(wait_s, max(0.0, self._last_question - time.perf_counter())))

    async def _connected(self, *, once: bool) -> float:
        """Ask over one connection until it breaks, a question is refused, the time is over, or once.

        Returns the seconds after which to connect again: a service closes connections that are idle as long.
        """
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._load.port)
        except OSError:
            self.outcome.unanswered += 1
            return 0.1
        try:
            while time.perf_counter() < self._last_question or once:
                wait_s = await self._exchange(reader, writer)
                if once or wait_s:
                    return wait_s
        except (OSError, asyncio.IncompleteReadError):
            pass  # counted as unanswered
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return 0.0

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        """Ask one question; returns the seconds after which to ask again."""
        body = json.dumps({"question": next(self._questions)}).encode()
        sent = time.perf_counter()
        self.outcome.unanswered += 1  # until there is an answer
        writer.write(
            b"POST /v1/context HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        status, headers, content = await _response(reader)
        now = time.perf_counter()
        self.outcome.unanswered -= 1
        if status == 200:
            self.outcome.milliseconds.append(round((now - sent) * 1000, 1))
            self.outcome.degraded += any(mark in content for mark in DEGRADED)
            self.outcome.seconds = now
        elif status == 503:
            self.outcome.refused += 1
        else:
            self.outcome.failed += 1
        return float(headers.get("retry-after", 0))


async def _response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    content = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, content


def main() -> None:
    """Reads the load as JSON from standard input and prints the outcome as JSON."""
    load = Load(**json.load(sys.stdin))
    print(json.dumps(asdict(asyncio.run(Client(load).run()))))  # noqa: T201  the result


if __name__ == "__main__":
    main()
