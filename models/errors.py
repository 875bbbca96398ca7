"""The errors of this package.

StorageError
├── DatabaseError             the database cannot be used as it is
│   ├── DatabaseUnreachable   it does not answer, or refuses the connection
│   ├── DatabaseReadOnly      this process may only read
│   ├── DatabaseNotMigrated   its schema is missing or of another version
│   ├── LogIncomplete         the request log does not hold what its rollups were counted from
│   └── ColdDayUnreadable     a file that holds a day of the request log cannot be read
└── InvalidScore              a quality score cannot be stored; also a ValueError
"""

from __future__ import annotations


class StorageError(Exception):
    """Base class of the errors of this package."""


class DatabaseError(StorageError):
    """The database cannot be used as it is; the message says why."""


class DatabaseUnreachable(DatabaseError):
    """The database does not answer or refuses the connection; check ARCPOINT_DATABASE_URL."""


class DatabaseReadOnly(DatabaseError):
    """A process that may only read tried to write."""


class DatabaseNotMigrated(DatabaseError):
    """The schema is missing or of another version; run `arcpoint db upgrade`."""


class LogIncomplete(DatabaseError):
    """The request log does not hold what the rollups were counted from."""


class ColdDayUnreadable(DatabaseError):
    """A file of a cold day cannot be read; the message names it."""


class InvalidScore(StorageError, ValueError):
    """A quality score is out of range, older than its request, or its request is not in the log."""
