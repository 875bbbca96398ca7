"""Ordinary lines of a gateway's history, drawn by rule: what a redaction must leave alone."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator

from tests.evaluation.trust.planted_secrets import ALNUM, HEX, LOWER, UPPER, Draw, b64, some, uuid

Line = Callable[[Draw], str]


def moment(d: Draw) -> str:
    return f"2026-{d.randint(1, 12):02}-{d.randint(1, 28):02}T{d.randint(0, 23):02}:{d.randint(0, 59):02}:07.{d.randrange(1000):03}Z"


def word(d: Draw) -> str:
    return d.choice(
        "gateway router upstream checkout billing premium cache backend session deploy token key".split()
    )


LINES: dict[str, Line] = {
    "uuid": lambda d: f"request {uuid(d)} failed after {d.randrange(60_000)} ms",
    "sha256": lambda d: f"image digest sha256:{some(d, HEX, 64)} pulled",
    "sha1": lambda d: f"deployed commit {some(d, HEX, 40)} to {word(d)}",
    "md5": lambda d: f"etag \"{some(d, HEX, 32)}\" for /assets/{some(d, HEX, 20)}.js",
    "short hash": lambda d: f"config {some(d, HEX, 7)} -> {some(d, HEX, 7)} by user_{word(d)}",
    "request id": lambda d: f"req_{some(d, ALNUM, 24)} on gpt-4/aws: 503 in {d.randrange(9000)} ms",
    "ulid": lambda d: f"job 01{some(d, UPPER, 24)} queued",
    "object ids": lambda d: f"cus_{some(d, ALNUM, 14)} ch_{some(d, ALNUM, 24)} evt_{some(d, ALNUM, 24)}",
    "snowflake": lambda d: f"message {d.randrange(10**17, 10**18)} in channel {d.randrange(10**17, 10**18)}",
    "trace": lambda d: f"traceparent: 00-{some(d, HEX, 32)}-{some(d, HEX, 16)}-01",
    "base64 text": lambda d: "payload " + base64.b64encode(f"{word(d)} {word(d)} {d.random()}".encode()).decode(),
    "base64 bytes": lambda d: f"body={b64(d, d.randint(30, 120))}",
    "data uri": lambda d: f"data:image/png;base64,iVBORw0KGgo{b64(d, 60)}",
    "url-safe base64": lambda d: f"cursor {b64(d, d.randint(20, 60), url=True)}",
    "certificate": lambda d: f"-----BEGIN CERTIFICATE-----\nMIID{b64(d, 90)}\n-----END CERTIFICATE-----",
    "public key": lambda d: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(d, ALNUM, 43)} bob@host",
    "certificate print": lambda d: "SHA256 Fingerprint=" + ":".join(some(d, UPPER[:6] + "0189", 2) for _ in range(20)),
    "arn": lambda d: f"arn:aws:iam::{d.randrange(10**11, 10**12)}:role/{word(d)}-{some(d, LOWER, 8)}",
    "pod": lambda d: f"pod {word(d)}-{some(d, LOWER, 10)}-{some(d, LOWER, 5)} restarted {d.randrange(9)} times",
    "url": lambda d: f"GET https://api.example.com/v1/{word(d)}/{uuid(d)}?page={d.randrange(99)}&sort=key&limit=50 200",
    "access log": lambda d: f'10.0.{d.randrange(256)}.7 - bob [{moment(d)}] "POST /v1/messages" 200 {d.randrange(9999)} "-"',
    "database url": lambda d: f"connecting to postgresql://db-{d.randrange(9)}.internal:5432/app?sslmode=require",
    "counts": lambda d: f"input_tokens={d.randrange(9999)} output_tokens={d.randrange(999)} max_tokens: {d.randrange(9999)}",
    "token limits": lambda d: f"token budget {d.randrange(9999)} exceeded; tokens: {d.randrange(9999)}, token_bound={d.randrange(999)}",
    "said of keys": lambda d: d.choice(("password: incorrect for user bob", "token: expired", "api key: rotated by alice", "secret: missing",
        "password must be changed", "invalid API key: check the key", "the token is expired", "key=value pairs", "auth failed: token invalid",
        "password reset requested by user_acme", "API key: see the runbook", "the secret is not set", "Bearer token missing",
        "Authorization: required", "Authorization: Bearer <token>", "cookie: rejected", "session token: not found in cache")),
    "variables": lambda d: d.choice(("API_KEY=${API_KEY}", "password=$DB_PASSWORD", "token: {{ vault.token }}", "Authorization: Bearer ${TOKEN}",
        "password=********", "api_key=***", "PWD=/srv/app", "OLDPWD=/home/bob/gateway", "secretKeyRef: name: gateway-tls-2", "secret=gateway-tls-2",
        "password=<redacted>", "token=null", "passwordPolicy=strict", "passed=12 failed=3", "pass=true", "keyspace=orders", "secret: db-credentials")),
    "key value": lambda d: f"cache_key=user:{d.randrange(999)}:{some(d, HEX, 12)} hit=true ttl={d.randrange(999)}",
    "json": lambda d: f'{{"ts":"{moment(d)}","level":"warn","span_id":"{some(d, HEX, 16)}","msg":"{word(d)} retry {d.randrange(9)}"}}',
    "python": lambda d: f'File "/srv/app/{word(d)}/auth.py", line {d.randrange(999)}, in get_token: KeyError: \'token\'',
    "java": lambda d: f"at com.acme.{word(d)}.TokenStore.read(TokenStore.java:{d.randrange(999)}) ~[app-2.{d.randrange(9)}.jar]",
    "models": lambda d: f"claude-sonnet-4-5-20250929 and gpt-4o-2024-08-06 via {word(d)}-{d.randrange(9)}; sk-learn, ask-me-anything-anytime",
    "paths": lambda d: f"s3://logs-{word(d)}/2026/11/{d.randrange(30)}/part-{d.randrange(99999):05}-{uuid(d)}.parquet",
    "version": lambda d: f"router v2.{d.randrange(30)}.{d.randrange(9)}+{some(d, HEX, 8)} rolled out to {d.randrange(100)} %",
    "wallet": lambda d: f"0x{some(d, HEX, 40)} confirmed in block {d.randrange(10**8)}",
    "network": lambda d: f"10.1.{d.randrange(256)}.{d.randrange(256)}:{d.randrange(65536)} fe80::{some(d, HEX, 4)}:{some(d, HEX, 4)} mac "
        + ":".join(some(d, HEX, 2) for _ in range(6)),
    "random words": lambda d: " ".join(some(d, string.ascii_letters + string.digits + "-_./", d.randint(2, 30)) for _ in range(8)),
}  # fmt: skip


def ordinary(seed: int, per_kind: int = 300) -> Iterator[tuple[str, str]]:
    """Yield kinds and lines."""
    draw = random.Random(seed)  # noqa: S311  test data
    for kind, line in LINES.items():
        for _ in range(per_kind):
            yield kind, line(draw)
