"""Time zones by the names that people write: abbreviations, regions, offsets. Pure."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

OFFSETS: Final = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2,
    "EEST": 3, "MSK": 3, "TRT": 3, "SAST": 2, "WAT": 1, "CAT": 2, "EAT": 3, "PKT": 5, "NPT": 5.75, "ICT": 7,
    "WIB": 7, "HKT": 8, "SGT": 8, "PHT": 8, "AWST": 8, "JST": 9, "KST": 9, "ACST": 9.5, "ACDT": 10.5,
    "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "BRT": -3, "ART": -3, "NDT": -2.5, "ADT": -3, "EST": -5,
    "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
}  # fmt: skip
"""Hours east of UTC by abbreviation."""
AMBIGUOUS: Final = {
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "CST": ("America/Chicago", "Asia/Shanghai", "America/Havana"),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "AST": ("America/Halifax", "Asia/Riyadh"),
    "GST": ("Asia/Dubai", "Atlantic/South_Georgia"),
    "AMT": ("America/Manaus", "Asia/Yerevan"),
    "SST": ("Pacific/Pago_Pago", "Asia/Singapore"),
}
"""Zones that an abbreviation can be of."""
_REGIONS = {
    "PACIFIC": "America/Los_Angeles", "MOUNTAIN": "America/Denver", "CENTRAL": "America/Chicago",
    "EASTERN": "America/New_York", "PT": "America/Los_Angeles", "MT": "America/Denver",
    "CT": "America/Chicago", "ET": "America/New_York",
}  # fmt: skip
_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])(\d{1,2})(?::?([0-5]\d))?", re.ASCII)
_MAX_NAME = 60
_MAX_OFFSET_HOURS = 14
ZONE: Final = (
    r"(?:(?:UTC|GMT) ?[+-] ?\d{1,2}(?::?\d\d)?(?!\d)|[+-]\d\d:?\d\d(?!\d)"
    r"|(?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[\w+/-]+"
    r"|(?:Pacific|Mountain|Central|Eastern)(?: (?:standard |daylight )?time)?\b"
    rf"|(?:{'|'.join((*OFFSETS, *AMBIGUOUS, 'PT', 'MT', 'CT', 'ET'))})\b)"
)
"""Pattern of what `zone_named` may know."""


def zone_named(name: str, near: tzinfo | None = None) -> tzinfo:
    """Return the zone called `UTC`, `Europe/Paris`, `JST`, `Pacific Time`, `UTC+9` or `+02:00`.

    An abbreviation of several zones is that of `near`, if it is one of them.

    Raises:
        ValueError: no such zone, or several; the message says which.
    """
    key = " ".join(name.upper().split())
    if (hours := OFFSETS.get(key)) is not None:
        return timezone(timedelta(hours=hours), key) if hours else UTC
    if candidates := AMBIGUOUS.get(key):
        if isinstance(near, ZoneInfo) and near.key in candidates:
            return near
        raise ValueError(f"{name} can be the time of {', '.join(candidates)}; write one of these instead")
    if found := _OFFSET.fullmatch(key.replace("+ ", "+").replace("- ", "-")):
        sign, hour, minute = found.groups(default="0")
        if int(hour) <= _MAX_OFFSET_HOURS:
            offset = timedelta(hours=int(hour), minutes=int(minute))
            return timezone(-offset if sign == "-" else offset)
    region = _REGIONS.get(key.removesuffix(" TIME").removesuffix(" STANDARD").removesuffix(" DAYLIGHT"), name)
    try:
        if len(name) <= _MAX_NAME:
            return ZoneInfo(region)
    # The name becomes a path below the zone database: it can be a folder, or leave it.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"unknown time zone {name[:_MAX_NAME]!r}")
