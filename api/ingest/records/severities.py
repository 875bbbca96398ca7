"""Severities by the names and numbers that people and programs give them."""

from __future__ import annotations

import re

from models import Severity

_NAMES = {
    Severity.CRITICAL: ("critical", "blocker", "emergency", "urgent", "kritisch", "重大", "0", "1"),
    Severity.HIGH: ("high", "major", "hoch", "高", "2"),
    Severity.MEDIUM: ("medium", "moderate", "normal", "mittel", "中", "3"),
    Severity.LOW: ("low", "minor", "trivial", "info", "informational", "niedrig", "gering", "低", "4", "5"),
}
_SEVERITY_OF = {
    prefix + word: severity
    for severity, words in _NAMES.items()
    for word in words
    for prefix in (("", "p", "s", "sev", "severity", "priority") if word.isdigit() else ("",))
}
_OF_ALERTS = {
    "page": Severity.CRITICAL,
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "none": Severity.LOW,
}
"""What alerts are called that people never call incidents."""
_WORD = re.compile(r"[^\W_]+")
_MAX_LENGTH = 200
"""Characters that are looked at."""
ACCEPTED_SEVERITIES = f"{', '.join(_NAMES)}, or their numbers as in P1, SEV1"


def severity_named(text: str) -> Severity | None:
    """Return the severity that a text names or begins with: `SEV-1`, `Sev 2 - major`, `P2 (high)`."""
    words = _WORD.findall(text[:_MAX_LENGTH].lower())
    found = (_SEVERITY_OF.get("".join(name)) for name in (words, words[:2], words[:1]))
    return next(filter(None, found), None)


def severity_of_alert(text: str, default: Severity = Severity.MEDIUM) -> Severity:
    """Return the severity of an alert, whose sender may call it as it likes."""
    return _OF_ALERTS.get(text.lower()) or severity_named(text) or default
