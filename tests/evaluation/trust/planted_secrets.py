"""Secrets in their usual surroundings, drawn by rule: what a redaction must replace."""

from __future__ import annotations

import base64
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


# As the providers' documents describe them: what a token begins with, its alphabet and its length.
FORMATS: dict[str, tuple[str, str, int]] = {
    "anthropic": ("sk-ant-api03-", URL_SAFE, 95), "openai project": ("sk-proj-", URL_SAFE, 120),
    "openai": ("sk-", ALNUM, 48), "openrouter": ("sk-or-v1-", HEX, 64), "stripe": ("sk_live_", ALNUM, 24),
    "stripe restricted": ("rk_live_", ALNUM, 24), "stripe webhook": ("whsec_", ALNUM, 32),
    "aws": ("AKIA", UPPER, 16), "aws session": ("ASIA", UPPER, 16), "google api": ("AIza", URL_SAFE, 35),
    "google oauth": ("ya29.", URL_SAFE, 120), "google client": ("GOCSPX-", URL_SAFE, 28),
    "google refresh": ("1//0", URL_SAFE, 60), "github": ("ghp_", ALNUM, 36), "github app": ("ghs_", ALNUM, 36),
    "github fine": ("github_pat_", ALNUM + "_", 82), "gitlab": ("glpat-", URL_SAFE, 20),
    "gitlab runner": ("glrt-", URL_SAFE, 20), "huggingface": ("hf_", string.ascii_letters, 34),
    "replicate": ("r8_", ALNUM, 37), "groq": ("gsk_", ALNUM, 52), "xai": ("xai-", ALNUM, 80),
    "perplexity": ("pplx-", ALNUM, 48), "nvidia": ("nvapi-", URL_SAFE, 64), "langsmith": ("lsv2_pt_", HEX, 42),
    "pinecone": ("pcsk_", ALNUM, 69), "fireworks": ("fw_", ALNUM, 24), "slack bot": ("xoxb-", string.digits + ALNUM, 50),
    "slack user": ("xoxp-", string.digits, 70), "slack app": ("xapp-1-", UPPER, 60), "square": ("sq0atp-", URL_SAFE, 22),
    "sendgrid": ("SG.", URL_SAFE, 66), "mailgun": ("key-", HEX, 32), "brevo": ("xkeysib-", HEX, 64),
    "npm": ("npm_", ALNUM, 36), "pypi": ("pypi-AgEIcHlwaS5vcmc", URL_SAFE, 140), "rubygems": ("rubygems_", HEX, 48),
    "docker": ("dckr_pat_", URL_SAFE, 27), "digitalocean": ("dop_v1_", HEX, 64), "databricks": ("dapi", HEX, 32),
    "newrelic": ("NRAK-", UPPER, 27), "grafana": ("glsa_", ALNUM, 32), "sentry": ("sntrys_", ALNUM, 120),
    "vault": ("hvs.", URL_SAFE, 90), "pulumi": ("pul-", HEX, 40), "doppler": ("dp.pt.", ALNUM, 43),
    "linear": ("lin_api_", ALNUM, 40), "notion": ("ntn_", ALNUM, 46), "figma": ("figd_", URL_SAFE, 40),
    "postman": ("PMAK-", HEX, 58), "atlassian": ("ATATT3xFfGF0", URL_SAFE, 180), "bitbucket": ("ATBB", ALNUM, 32),
    "shopify": ("shpat_", HEX, 32), "supabase": ("sbp_", HEX, 40), "planetscale": ("pscale_pw_", URL_SAFE, 43),
    "tailscale": ("tskey-auth-", ALNUM, 40), "prefect": ("pnu_", ALNUM, 36), "buildkite": ("bkua_", HEX, 40),
    "jfrog": ("AKCp", ALNUM, 69), "sonar": ("squ_", HEX, 40), "contentful": ("CFPAT-", URL_SAFE, 43),
    "alibaba": ("LTAI", ALNUM, 20), "openshift": ("sha256~", URL_SAFE, 43), "age": ("AGE-SECRET-KEY-1", UPPER, 58),
    "twilio": ("SK", HEX, 32), "easypost": ("EZAK", ALNUM, 54), "heroku": ("HRKU-", URL_SAFE, 60),
}  # fmt: skip
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
    "slack webhook": lambda d: "https://hooks.slack.com/services/"
    f"T{some(d, UPPER, 8)}/B{some(d, UPPER, 10)}/{some(d, ALNUM, 24)}",
    "discord webhook": lambda d: f"https://discord.com/api/webhooks/{d.randrange(10**17, 10**18)}/"
    f"{some(d, URL_SAFE, 68)}",
}  # fmt: skip
AROUND = (
    "{s}", "request rejected: key {s} is not valid", "TOKEN_VALUE={s}", '{{"level":"error","key":"{s}"}}', "({s})",
    "first line\n  {s}\nlast line", "config: [{s}, other]", "'{s}',", "https://host.example/v1/x?v={s}&page=2",
    "export SOMETHING='{s}'", "sent {s}.", "| key | {s} |", "`{s}`", "user 12 used {s} from 10.0.0.7 at 09:30",
    "retry 3/5 with {s}; giving up",
)  # fmt: skip


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


PASSWORDS_IN = (
    "DB_PASSWORD={s}", "password={s} user=app", "password: '{s}'", '{{"password": "{s}", "user": "app"}}', "pwd={s};Database=x",
    "PGPASSWORD={s} psql -h db", "mysql -u root -p{s} -h db app", "--password {s} --verbose", "--db-password={s}",
    "the password is {s}", "spring.datasource.password={s}", "passphrase = \"{s}\"", "REDIS_PASSWORD: {s}",
    "sshpass -p '{s}' ssh app@host", "machine api.example login bob password {s}", "<password>{s}</password>",
    "ALTER USER app IDENTIFIED BY '{s}'", "CREATE ROLE app PASSWORD '{s}'", "'password' => '{s}',",
    'params={{\\"password\\":\\"{s}\\"}}', "login failed (user=bob, password={s})", "curl -u admin:{s} https://host.example/",
)  # fmt: skip
URLS = (
    "postgresql://app:{s}@db.internal:5432/app", "redis://:{s}@cache:6379/0", "amqp://guest:{s}@mq:5672//",
    "mongodb+srv://app:{s}@cluster0.mongodb.net/app", "https://deploy:{s}@git.example/repo.git", "mysql+pymysql://u:{s}@h/d",
)  # fmt: skip
KEYS_IN = (
    "API_KEY={s}", "x-api-key: {s}", '"api_key": "{s}"', "apikey={s}", "DD_API_KEY={s}", "api-key: '{s}'", "--api-key {s}",
    "access_key = {s}", "SERVICE_TOKEN={s}", "auth_token: \"{s}\"", "X-Auth-Token: {s}", "client_secret={s}&grant_type=x",
    "CLIENT_SECRET: {s}", "jwt.secret={s}", "secret_key_base: {s}", "encryption_key={s}", "webhook_secret={s}",
    "//registry.npmjs.org/:_authToken={s}", "https://api.example/v1?token={s}", "GET /v1/x?access_token={s}&page=1 200",
    "refresh_token={s}", '"token":"{s}"', "AZURE_OPENAI_API_KEY={s}", "signing-key={s}", "credentials={s}",
)  # fmt: skip
HEADERS = (
    "Authorization: Bearer {s}", "authorization: Basic {s}", '"Authorization": "Bearer {s}"', "Authorization: Token {s}",
    "headers={{'Authorization': 'Bearer {s}'}}", "curl -H 'Authorization: Bearer {s}' https://host.example", "Bearer {s}",
    "Proxy-Authorization: Basic {s}", "Cookie: theme=dark; session={s}", "Set-Cookie: sid={s}; Path=/; HttpOnly",
    "JSESSIONID={s}; Path=/",
)  # fmt: skip
STORES = (
    ("aws secret", "aws_secret_access_key = {s}", lambda d: some(d, ALNUM + "/+", 40)),
    ("aws secret", "AWS_SECRET_ACCESS_KEY={s}", lambda d: some(d, ALNUM + "/+", 40)),
    ("azure storage", "AccountName=x;AccountKey={s};EndpointSuffix=core", lambda d: b64(d, 64)),
    ("azure sas", "https://x.blob.example/c?sv=2024-01-01&sig={s}", lambda d: b64(d, 32).replace("+", "%2B")),
    ("aws signature", "https://s3.example/k?X-Amz-Expires=9&X-Amz-Signature={s}", lambda d: some(d, HEX, 64)),
    ("docker auth", '{{"auths":{{"r.example":{{"auth":"{s}"}}}}}}', lambda d: b64(d, 24)),
    ("kubeconfig", "    client-key-data: {s}", lambda d: b64(d, 300)),
    ("pem rsa", "{s}", lambda d: pem(d, "RSA PRIVATE KEY")),
    ("pem", "key loaded:\n{s}\nready", lambda d: pem(d, "PRIVATE KEY")),
    ("pem openssh", "{s}", lambda d: pem(d, "OPENSSH PRIVATE KEY")),
    ("pem pgp", "{s}", lambda d: pem(d, "PGP PRIVATE KEY BLOCK")),
    ("pem in json", '{{"private_key":"{s}"}}', lambda d: pem(d, "EC PRIVATE KEY").replace("\n", "\\n")),
)


def planted(seed: int, per_way: int = 4) -> Iterator[Planted]:
    """Each kind in each of its surroundings, several times; other seeds draw other secrets."""
    draw = random.Random(seed)  # noqa: S311  test data
    for _ in range(per_way):
        for around in AROUND:
            for kind, (beginning, alphabet, length) in FORMATS.items():
                yield _put(kind, around, beginning + some(draw, alphabet, length))
            for kind, make in SHAPES.items():
                yield _put(kind, around, make(draw))
        ways: tuple[tuple[str, tuple[str, ...], Callable[[Draw], str]], ...] = (
            ("password", PASSWORDS_IN, password),
            ("url", URLS, lambda d: some(d, ALNUM + "!*%-_", 16)),
            ("key", KEYS_IN, lambda d: d.choice((some(d, HEX, 32), some(d, ALNUM, 40) + "1", uuid(d)))),
            ("header", HEADERS, lambda d: d.choice((b64(d, 24), some(d, URL_SAFE, 43), some(d, HEX, 40)))),
        )
        for kind, arounds, make in ways:
            for around in arounds:
                yield _put(f"{kind}: {around}", around, make(draw))
        for kind, around, make in STORES:
            yield _put(kind, around, make(draw))


def _put(kind: str, around: str, secret: str) -> Planted:
    return Planted(kind, around.format(s=secret), secret, around)
