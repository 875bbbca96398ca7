"""A PostgreSQL URL: what it may say, with libpq's meaning, and how a connection is made of it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urlencode

from sqlalchemy.engine import URL

from models.errors import DatabaseError

CONNECT_TIMEOUT_S = 10
"""Per host, unless the URL has a `connect_timeout`."""
SECRETS = ("password", "sslpassword")

_ADDRESS = ("host", "port", "user", "password", "dbname", "database")
"""What the part before the `?` says, too; the parameter wins."""
_OF_THE_DRIVER = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "passfile", "krbsrvname", "gsslib"),
)
"""asyncpg reads these from a URL as libpq does."""
_OF_THE_SERVER = ("application_name", "options")
_OF_THE_CHOICE = ("connect_timeout", "target_session_attrs")
"""They decide which host is taken."""
_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    # Each of these says what happens anyway.
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "auto"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
    "pgbouncer": ("true",),
    "statement_cache_size": ("0",),
    "prepared_statement_cache_size": ("0",),
}
"""Accepted values of the parameters that have a list of them."""
_PASSED_ON = frozenset((*_ADDRESS, *_OF_THE_DRIVER, *_OF_THE_SERVER, *_OF_THE_CHOICE))
ACCEPTED = _PASSED_ON | _VALUES.keys() | {"ssl"}

_SHAPE = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://"
    # Tried without a user first: then no @ follows, except in a query after a path.
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^@]*))?@)??"
    r"(?P<hosts>[^@/?]*)"
    r"(?:/(?P<name>[^@?]*)(?:\?(?P<query>.*))?|\?(?P<query_of_no_path>[^@]*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:\[(?P<v6>[^][]+)\]|(?P<name>/.*|[^][:]*))(?::(?P<port>\d*))?")
_MAX_PORT = 65535


def parse_postgresql_url(text: str) -> URL | None:
    """Parse a URL; several hosts, or a socket, are the `host` and `port` of its query. None: it is no URL.

    Raises:
        DatabaseError: The URL asks for what cannot be done; the message names it, and no secret.
    """
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        return None
    said = _parameters(parts["query"] or parts["query_of_no_path"] or "")
    name = said.pop("dbname", said.pop("database", unquote(parts["name"] or "")))
    url = URL.create(
        "postgresql+asyncpg",
        username=said.pop("user", unquote(parts["user"] or "")) or None,
        password=said.pop("password", unquote(parts["password"] or "")) or None,
        database=name or None,
    )
    hosts, ports = _hosts(quote(said.pop("host", ""), safe="/:,[]") or parts["hosts"], said.pop("port", ""))
    if len(hosts) == 1 and hosts[0] and not hosts[0].startswith("/"):
        return url.set(host=hosts[0], port=int(ports[0]) if ports[0] else None, query=said)
    listed = {"host": hosts, "port": ports}
    return url.set(query=said | {name: ",".join(each) for name, each in listed.items() if any(each)})


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query: of equal names the last, but all of several hosts and ports."""
    said: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = (unquote(part) for part in pair.partition("="))  # libpq leaves a + as it is
        if not equals or not re.fullmatch(r"\w{1,40}", name):  # not shown: it may be a piece of a password
            raise DatabaseError(
                "the database URL has something after its ? that is not name=value; write @ : / ? # in a "
                "user name or password as %40 %3A %2F %3F %23"
            )
        if name not in ACCEPTED:
            raise DatabaseError(
                f"the database URL has the parameter {name!r}, which is not supported; accepted are "
                f"{', '.join(sorted(ACCEPTED))}; write settings of the server as options=-c%20name=value"
            )
        adds_up = name in ("host", "port") and name in said
        said[name] = f"{said[name]},{value}" if adds_up else value
    said = {name: value for name, value in said.items() if value}
    if mode := said.pop("ssl", None):
        said.setdefault("sslmode", "require" if mode == "true" else mode)
    if said.get("sslrootcert") == "system":
        said.setdefault("sslmode", "verify-full")
        if said["sslmode"] != "verify-full" or "sslcert" in said:
            _refuse("sslrootcert", "system", "the path of a file, or system with verify-full and no sslcert")
    for name in _VALUES.keys() & said.keys():
        said[name] = said[name].lower()
        if said[name] not in _VALUES[name]:
            _refuse(name, said[name], ", ".join(_VALUES[name]))
    if not re.fullmatch(r"-?\d{1,5}", seconds := said.get("connect_timeout", "0")):
        _refuse("connect_timeout", seconds, "whole seconds, 0 for no limit")
    return {name: value for name, value in said.items() if name in _PASSED_ON}


def _refuse(name: str, value: str, accepted: str) -> None:
    raise DatabaseError(
        f"the database URL has {name}={value[:40]!r}, which cannot be used; accepted: {accepted}"
    )


def _hosts(text: str, override: str) -> tuple[list[str], list[str]]:
    """Return hosts, quoted in the text, and as many ports; the parameter `port` wins over a host's own."""
    hosts, ports = [], []
    for host in text.split(","):
        bare_ipv6 = host.count(":") > 1 and not host.startswith(("[", "/"))
        shape = _HOST.fullmatch(f"[{host}]" if bare_ipv6 else host)
        hosts.append("" if shape is None else unquote(shape["v6"] or shape["name"]))
        ports.append("none" if shape is None else shape["port"] or "")
    if override:
        given = override.split(",")
        ports = given * len(hosts) if len(given) == 1 else given
    if len(ports) != len(hosts) or not all(_is_port(port) for port in ports):
        raise DatabaseError(
            "the database URL needs one port from 1 to 65535 for each of its hosts, or one for all; "
            "write @ : / in a user name or password as %40 %3A %2F"
        )
    return hosts, ports


def _is_port(text: str) -> bool:
    """Return True for a port, or none."""
    return text == "" or (re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) <= _MAX_PORT)


async def connect(url: URL) -> Any:
    """Connect to the first host that answers and is of the wanted kind; for a preferred one look twice."""
    import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415  SQLite needs none of it

    # A wrong password is no reason to try the next host.
    next_host = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
    said = {name: str(value) for name, value in url.query.items()}
    hosts = said.get("host", url.host or "").split(",")
    ports = said["port"].split(",") if "port" in said else [str(url.port or "")] * len(hosts)
    kind = said.get("target_session_attrs")
    targets = [
        {"host": host or None, "port": int(port) if port else None, "target_session_attrs": wanted}
        for wanted in (("standby", "any") if kind == "prefer-standby" else (kind,))
        for host, port in zip(hosts, ports, strict=True)
    ]
    for target in targets[:-1]:
        with suppress(*next_host):
            return await asyncpg.connect(**_arguments(url, said), **target)
    return await asyncpg.connect(**_arguments(url, said), **targets[-1])


def _arguments(url: URL, said: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a connection to any host of a URL."""
    trusts_system = said.get("sslrootcert") == "system"
    left_out = {"sslrootcert", "sslmode"} if trusts_system else set()
    of_driver = {name: said[name] for name in _OF_THE_DRIVER if name in said and name not in left_out}
    timeout = int(said.get("connect_timeout", CONNECT_TIMEOUT_S))
    return {
        "dsn": f"postgresql://?{urlencode(of_driver)}",
        "ssl": True if trusts_system else None,  # True verifies the name, by the system's certificates
        "user": url.username,
        "password": url.password,
        "database": url.database,
        "timeout": timeout if timeout > 0 else None,
        "server_settings": {name: said[name] for name in _OF_THE_SERVER if name in said},
        # Behind a pooler the next transaction may meet another server process, without our statements.
        "statement_cache_size": 0,
    }


def driver_errors() -> tuple[type[Exception], ...]:
    """Return what a connection of the driver raises besides OSError and TimeoutError."""
    import asyncpg  # noqa: PLC0415  SQLite needs none of it

    return (asyncpg.PostgresError, asyncpg.InterfaceError)
