"""The process that owns a Chroma folder: `python -m memory.index.chroma_worker FOLDER [--start-anew]`.

Embedded Chroma holds the interpreter's lock for seconds while it writes, so it lives in a process of its
own. It answers the documents that come in on its standard input, one after another, and ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from memory.index import ipc as frames
from memory.index.chroma_folder import ChromaFolder, FolderRefused
from memory.index.ipc import Document


def serve(path: Path, requests: BinaryIO, answers: BinaryIO, *, start_anew: bool) -> None:
    """Answers requests until they end. The first answer says whether the folder could be opened."""

    def send(document: Document) -> None:
        answers.write(frames.encode(document))
        answers.flush()

    try:
        folder = ChromaFolder(path, owner=os.getppid())
        if start_anew:
            folder.set_aside()
    except FolderRefused as refused:
        send({"id": 0, "fault": "refused", "message": str(refused)})
        return

    from memory.index.chroma_store import ChromaStore  # noqa: PLC0415  takes most of a second: not for a refusal

    store = ChromaStore(path)
    send(store.answer({"id": 0, "op": "open"}))
    while header := requests.read(frames.HEADER.size):
        (length,) = frames.HEADER.unpack(header)
        send(store.answer(frames.decode(requests.read(length))))


def main(arguments: list[str]) -> None:
    """Serves the folder named first over standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the owner, which then ends us
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into the answers
    try:
        serve(Path(arguments[0]), requests, answers, start_anew="--start-anew" in arguments)
    except BrokenPipeError:
        sys.exit(1)  # the owner is gone


if __name__ == "__main__":
    main(sys.argv[1:])
