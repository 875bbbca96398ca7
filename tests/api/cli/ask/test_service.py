"""`arcpoint ask` and `chat` beside a running service: the same answers, and never none."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from api.version import version
from tests.loopback.messages_api import Hang, MessagesApi, Reply
from tests.support.command_line import PAST, START, Run, Start, finished

pytestmark = pytest.mark.process

SLOW = "Why are premium users slow?"
FORMS = [(), ("--json",), ("--why",), ("--show-prompt",), ("--json", "--show-prompt", "--budget", "3000")]
PATIENT = (
    "import api.services; from tests.support.patient_sources import SOURCES;"
    f"api.services.discover = lambda: tuple(SOURCES); {START}"
)
Serve = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def memory(arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory that works: the folder of the service, the embeddings for who asks here."""
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(tmp_path / "memory"))
    assert arcpoint("memory", "sync").code == 0


@pytest.fixture
def serve(start: Start) -> Serve:
    """Starts a service, whose sources are read whole however busy the machine is, and waits for it."""

    def spawn() -> subprocess.Popen[str]:
        process = start("serve", "--port", "0", code=PATIENT)
        assert process.stdout
        assert [process.stdout.readline(), process.stdout.readline()][1].startswith("model: ")
        return process

    return spawn


@pytest.fixture
def socket_file(tmp_path: Path) -> Path:
    return tmp_path / "arcpoint.sock"


def answered_by(address: object) -> str:
    return f"arcpoint: answered by the service at {address}\n"


def timeless(text: str) -> str:
    """A text without what differs from one answer to the next: durations and the answer's id."""
    text = re.sub(r"ans_\w+|\b[\d.]+ s\b|in [\d,]+ ms", "#", text)
    text = re.sub(r"^(  \w+ +\w+ +\w+ +)[\d,]+ ", r"\1# ", text, flags=re.MULTILINE)
    return re.sub(r'("(?:milliseconds|build_ms|latency_ms)": )\d+|(?<=\S) +', r"\1 ", text)


@pytest.mark.usefixtures("memory")
def test_every_form_of_output_is_that_of_an_answer_made_here(
    arcpoint: Run, serve: Serve, with_model: MessagesApi, socket_file: Path
) -> None:
    """Text, JSON, prompt and manifest are the same byte for byte but for durations and ids."""
    serve()
    for form in FORMS:
        theirs = arcpoint("ask", SLOW, "--as-of", PAST, *form)
        ours = arcpoint("ask", SLOW, "--as-of", PAST, *form, "--local")
        assert (theirs.code, theirs.err, ours.code, ours.err) == (0, answered_by(socket_file), 0, "")
        assert timeless(theirs.out) == timeless(ours.out)
    assert len(with_model.messages) == 2 * len(FORMS)


def test_wrong_questions_and_every_option_are_taken_as_they_are_here(arcpoint: Run, serve: Serve) -> None:
    """The same error, the same exit code, and the same answer to a question with all options."""
    serve()
    for wrong in (["?!"], [SLOW, "--model", "gpt-9"], [SLOW, "--budget", "100000000"], ["x" * 200_000]):
        theirs, ours = arcpoint("ask", *wrong), arcpoint("ask", *wrong, "--local")
        assert theirs.code == ours.code == 2
        assert theirs.err.splitlines()[-1] == ours.err.strip()
    options = ("--since", "2026-11-19T00:00Z", "--until", "2026-11-20T00:00Z", "--tier", "premium", "--json")
    asked = ("ask", SLOW, "--as-of", PAST, "--user", "user_acme", "--deployment", "gpt-4/aws", *options)
    theirs, ours = (json.loads(arcpoint(*asked, *more).out)["manifest"] for more in ([], ["--local"]))
    for name in ("question", "scope", "window", "asked_by"):
        assert theirs.get(name) == ours.get(name)


def test_the_model_is_heard_while_it_speaks(start: Start, serve: Serve, with_model: MessagesApi) -> None:
    """On a terminal words that the service passes on are shown before the reply is over."""
    with_model.always(Hang(seconds=600, after_pieces=4, reply=Reply(text="first words. " * 50)))
    serve()
    code = f"import sys; sys.stdout.isatty = lambda: True; {START}"
    process = start("ask", SLOW, code=code, bufsize=0, text=False)
    shown = b""
    assert process.stdout
    while b"first words." not in shown:
        piece: bytes = process.stdout.read(1)  # type: ignore[assignment]
        assert piece, shown
        shown += piece
    process.send_signal(signal.SIGINT)
    process.communicate()


def test_a_service_that_dies_amid_an_answer_costs_no_answer(
    start: Start, serve: Serve, with_model: MessagesApi
) -> None:
    """The question is asked again here, and only the whole answer is printed."""
    with_model.script(Hang(seconds=600, after_pieces=3, reply=Reply(text="never said. " * 50)))
    service = serve()
    process = start("ask", SLOW, "--as-of", PAST)
    asyncio.run(with_model.until(lambda journal: journal.open_streams == 1, 300))
    with_model.always(Reply(text="All is well."))
    service.kill()
    ended = finished(process)
    assert ended.code == 0
    assert ended.out.startswith("All is well.")
    assert "never said" not in ended.out
    assert re.fullmatch(
        r"arcpoint: the service at \S+ cannot answer \(.+\); answering without it\n", ended.err
    )


class Impostor(BaseHTTPRequestHandler):
    """Looks like a service, and refuses."""

    health: ClassVar[dict[str, object]] = {}

    def do_GET(self) -> None:
        self._reply(200, self.health)

    def do_POST(self) -> None:
        self._reply(503, {"type": "about:blank", "status": 503, "detail": "too much to do"})

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _reply(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def impostor() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({"version": version(), "database": "other", "model": None}, "it answered 503: too much to do"),
        (
            {"version": "0.0.1", "database": "other", "model": None},
            f"it is Arcpoint 0.0.1, this is {version()}",
        ),
        ({"hello": "world"}, "it is no Arcpoint service"),
    ],
)
def test_a_service_that_refuses_is_named_and_the_answer_made_here(
    arcpoint: Run,
    impostor: str,
    health: dict[str, object],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal, another version, another program: one line, and the answer, with exit code 0."""
    monkeypatch.setattr(Impostor, "health", health)
    result = arcpoint("ask", SLOW, "--service", impostor)
    line = f"arcpoint: the service at {impostor} cannot answer ({reason}); answering without it\n"
    assert (result.code, result.err) == (0, line)
    monkeypatch.setenv("ARCPOINT_SERVICE_URL", impostor)
    assert arcpoint("ask", SLOW).err == line
    assert arcpoint("ask", SLOW, "--local").err == ""
    wrong = arcpoint("ask", SLOW, "--service", "http://me:secret@host:1")
    assert (wrong.code, wrong.out) == (2, "")
    assert "--service" in wrong.err
    assert "secret" not in wrong.err


def test_a_service_is_asked_only_about_its_own_database(
    arcpoint: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another database, or one that is only read: the answer is made here, without a word."""
    process = serve()
    monkeypatch.setenv("ARCPOINT_READ_ONLY", "true")
    assert arcpoint("ask", SLOW).err == ""
    monkeypatch.delenv("ARCPOINT_READ_ONLY")
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert "arcpoint db upgrade" in arcpoint("ask", SLOW).err
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", "sqlite:///story.db")
    monkeypatch.chdir(tmp_path)
    assert "answered by" in arcpoint("ask", SLOW).err
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", f"sqlite:///{tmp_path}/story.db")
    process.send_signal(signal.SIGTERM)
    assert finished(process).code == 0
    assert arcpoint("ask", SLOW).err == ""


def test_a_session_is_answered_by_the_service_until_it_is_gone(
    arcpoint: Run, serve: Serve, with_model: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chat` asks the service too, its commands work on the answer, and it goes on without it."""
    process = serve()

    class Typed(io.StringIO):
        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # as in io.StringIO
            line = super().readline(size)
            if line == "/help\n":
                process.kill()
                process.wait()
            return line

    monkeypatch.setattr(sys, "stdin", Typed(f"{SLOW}\n/prompt\n/help\n{SLOW}\n"))
    result = arcpoint("chat", "--as-of", PAST)
    first, second = result.err.splitlines()
    assert (result.code, result.out.count("References")) == (0, 2)
    assert "answered by the service" in first
    assert "answering without it" in second
    assert "--- system ---" in result.out
    assert len(with_model.messages) == 2
