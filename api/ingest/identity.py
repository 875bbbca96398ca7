"""Public ids of rows that come without one: the same rows give the same ids in every run."""

from __future__ import annotations

import json
import sqlite3
from hashlib import blake2b

_DIGEST_BYTES = 16


class Identities:
    """Gives each row an id from its content and from how often that content came before in the file.

    So identical rows are told apart, and a file read twice gives the same ids. The content is all
    columns that are not empty, in any order; a corrected mapping does not change it. What was seen
    lives in a temporary database of SQLite, which moves from memory to disk as it grows. Belongs to
    one thread.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )
        # Never committed, never needed again.
        self._seen.execute("BEGIN")

    def next_id(self, values: dict[str, str]) -> str:
        """The public id of the next row of the file."""
        content = json.dumps(sorted((name, text) for name, text in values.items() if text))
        digest = blake2b(content.encode("ascii"), digest_size=_DIGEST_BYTES).digest()
        (times,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times",
            (digest,),
        ).fetchone()
        numbered = (
            digest if times == 1 else blake2b(digest + b"%d" % times, digest_size=_DIGEST_BYTES).digest()
        )
        return self._prefix + numbered.hex()

    def close(self) -> None:
        """Drops what was seen."""
        self._seen.close()
