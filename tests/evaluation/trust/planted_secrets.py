"""Secrets in their usual surroundings, drawn by rule: what a redaction must replace."""

from __future__ import annotations

import base64
import random
import re
import string
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Draw = random.Random
ALNUM, UPPER = string.ascii_letters + string.digits, string.ascii_uppercase + string.digits
LOWER, HEX, URL_SAFE = string.ascii_lowercase + string.digits, "0123456789abcdef", ALNUM + "-_"
WINDOW = 8


@dataclass(frozen=True)
class Planted:
    """A text that holds a secret."""

    kind: str
    text: str
    secret: str
    around: str
    """The text without the secret."""

    def leaks(self, redacted: str) -> bool:
        """Return True if any 8 adjacent characters of the secret are left, lines and labels aside."""
        pieces = [line for line in self.secret.replace("\\n", "\n").splitlines() if line[:5] != "-----"]
        windows = {
            piece[at : at + WINDOW] for piece in pieces for at in range(max(1, len(piece) - WINDOW + 1))
        }
        left = re.sub("<SECRET:[^>]*>", " ", redacted)
        return any(window in left and window not in self.around for window in windows)


def some(draw: Draw, alphabet: str, length: int) -> str:
    return "".join(draw.choices(alphabet, k=length))


def uuid(draw: Draw) -> str:
    return "-".join(some(draw, HEX, length) for length in (8, 4, 4, 4, 12))


def b64(draw: Draw, size: int, *, url: bool = False) -> str:
    data = draw.randbytes(size)
    return base64.urlsafe_b64encode(data).decode().rstrip("=") if url else base64.b64encode(data).decode()


def jwt(draw: Draw) -> str:
    parts = [b'{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{draw.randrange(10**9)}","exp":1900000000}}'.encode()]
    body = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return f"{body}.{b64(draw, 32, url=True)}"


def pem(draw: Draw, name: str) -> str:
    lines = "\n".join(some(draw, ALNUM + "+/", 64) for _ in range(draw.randint(3, 12)))
    return f"-----BEGIN {name}-----\n{lines}\n{some(draw, ALNUM, 38)}==\n-----END {name}-----"


_TABLE = tomllib.loads(Path(__file__).with_name("secrets.toml").read_text("utf-8"))
_ALPHABETS = {
    "alnum": ALNUM,
    "upper": UPPER,
    "hex": HEX,
    "url": URL_SAFE,
    "word": f"{ALNUM}_",
    "letters": string.ascii_letters,
    "digits": string.digits,
}
FORMATS: dict[str, tuple[str, str, int]] = _TABLE["formats"]
SURROUNDINGS: dict[str, list[str]] = _TABLE["surroundings"]
SHAPES: dict[str, Callable[[Draw], str]] = {
    "jwt": jwt,
    "telegram": lambda d: f"{d.randrange(10**8, 10**10)}:AA{some(d, URL_SAFE, 33)}",
    "discord": lambda d: f"M{some(d, ALNUM, 23)}.{some(d, URL_SAFE, 6)}.{some(d, URL_SAFE, 38)}",
    "mailchimp": lambda d: f"{some(d, HEX, 32)}-us{d.randint(1, 21)}",
    "terraform": lambda d: f"{some(d, ALNUM, 14)}.atlasv1.{some(d, URL_SAFE, 67)}",
    "airtable": lambda d: f"pat{some(d, ALNUM, 14)}.{some(d, HEX, 64)}",
    "azure client": lambda d: f"{some(d, ALNUM, 3)}8Q~{some(d, ALNUM + '_.-~', 34)}",
    "bcrypt": lambda d: f"$2b$12${some(d, ALNUM + './', 53)}",
    "argon2": lambda d: f"$argon2id$v=19$m=65536,t=3,p=4${some(d, ALNUM, 22)}${some(d, ALNUM, 43)}",
    "slack webhook": lambda d: (
        f"https://hooks.slack.com/services/T{some(d, UPPER, 8)}/B{some(d, UPPER, 10)}/{some(d, ALNUM, 24)}"
    ),
    "discord webhook": lambda d: (
        f"https://discord.com/api/webhooks/{d.randrange(10**17, 10**18)}/{some(d, URL_SAFE, 68)}"
    ),
}


def password(draw: Draw) -> str:
    """A password as people and generators make them."""
    words = (
        "correct",
        "horse",
        "battery",
        "staple",
        "winter",
        "Dragon",
        "monkey",
        "sunshine",
        "gateway",
        "admin",
    )
    return draw.choice(
        (
            lambda: some(draw, ALNUM + "!@#%^*-_+?.~", draw.randint(10, 24)) + draw.choice("Aa1"),
            lambda: f"{draw.choice(words).title()}{draw.randrange(1990, 2027)}{draw.choice('!?#*')}",
            lambda: some(draw, ALNUM, draw.randint(12, 32)) + "7",
            lambda: f"{draw.choice(words)}{draw.choice('$!@#')}{some(draw, LOWER, 6)}9",
        )
    )()


STORES = (
    ("aws secret", "aws_secret_access_key = {s}", lambda d: some(d, ALNUM + "/+", 40)),
    ("aws secret", "AWS_SECRET_ACCESS_KEY={s}", lambda d: some(d, ALNUM + "/+", 40)),
    ("azure storage", "AccountName=x;AccountKey={s};EndpointSuffix=core", lambda d: b64(d, 64)),
    ("azure sas", "https://x.blob.example/c?sv=2024-01-01&sig={s}", lambda d: b64(d, 32).replace("+", "%2B")),
    ("aws signature", "https://s3.example/k?X-Amz-Expires=9&X-Amz-Signature={s}", lambda d: some(d, HEX, 64)),
    ("docker auth", '{"auths":{"r.example":{"auth":"{s}"}}}', lambda d: b64(d, 24)),
    ("kubeconfig", "    client-key-data: {s}", lambda d: b64(d, 300)),
    ("pem rsa", "{s}", lambda d: pem(d, "RSA PRIVATE KEY")),
    ("pem", "key loaded:\n{s}\nready", lambda d: pem(d, "PRIVATE KEY")),
    ("pem openssh", "{s}", lambda d: pem(d, "OPENSSH PRIVATE KEY")),
    ("pem pgp", "{s}", lambda d: pem(d, "PGP PRIVATE KEY BLOCK")),
    ("pem in json", '{"private_key":"{s}"}', lambda d: pem(d, "EC PRIVATE KEY").replace("\n", "\\n")),
)


def planted(seed: int, per_way: int = 4) -> Iterator[Planted]:
    """Each kind in each of its surroundings, several times; other seeds draw other secrets."""
    draw = random.Random(seed)  # noqa: S311  test data
    for _ in range(per_way):
        for around in SURROUNDINGS["token"]:
            for kind, (beginning, alphabet, length) in FORMATS.items():
                yield _put(kind, around, beginning + some(draw, _ALPHABETS[alphabet], length))
            for kind, make in SHAPES.items():
                yield _put(kind, around, make(draw))
        ways: tuple[tuple[str, Callable[[Draw], str]], ...] = (
            ("password", password),
            ("url", lambda d: some(d, ALNUM + "!*%-_", 16)),
            ("key", lambda d: d.choice((some(d, HEX, 32), some(d, ALNUM, 40) + "1", uuid(d)))),
            ("header", lambda d: d.choice((b64(d, 24), some(d, URL_SAFE, 43), some(d, HEX, 40)))),
        )
        for kind, make in ways:
            for around in SURROUNDINGS[kind]:
                yield _put(f"{kind}: {around}", around, make(draw))
        for kind, around, make in STORES:
            yield _put(kind, around, make(draw))


def _put(kind: str, around: str, secret: str) -> Planted:
    return Planted(kind, around.replace("{s}", secret), secret, around)
