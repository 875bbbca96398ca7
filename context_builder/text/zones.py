"""Time zones by the names that people write: abbreviations, regions, offsets. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MAX_OFFSET = timedelta(hours=14)
_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-]) ?(\d{1,2})(?::?([0-5]\d))?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """What an abbreviation of a zone means."""

    offset: timedelta
    """East of UTC, in its usual meaning."""
    region: str = ""
    """IANA name of the place whose summer time it leaves out."""
    zones: tuple[str, ...] = ()
    """IANA names of all its meanings, where none is usual enough to be taken in a document."""
    usual: str = ""
    """Its usual meaning in words, if it has others."""
    others: str = ""


def offset_of(text: str) -> timedelta | None:
    """Return the offset that `+02:00`, `-0800` or `UTC+2` states; None if it states none."""
    match = _OFFSET.fullmatch(text.strip())
    if match is None:
        return None
    ahead = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return -ahead if match[1] == "-" else ahead


_TABLE = """
UTC +00:00 - -
GMT +00:00 - -
Z +00:00 - -
EST -05:00 America/New_York - = Eastern Standard Time of North America | Australian Eastern Standard Time (UTC+10:00)
EDT -04:00 America/New_York -
CST -06:00 America/Chicago America/Chicago,Asia/Shanghai,America/Havana = Central Standard Time of North America | China Standard Time (UTC+08:00), Cuba Standard Time (UTC-05:00)
CDT -05:00 America/Chicago - = Central Daylight Time of North America | Cuba Daylight Time (UTC-04:00)
MST -07:00 - - = Mountain Standard Time of North America | Myanmar Standard Time (UTC+06:30), Malaysia Standard Time (UTC+08:00)
MDT -06:00 America/Denver -
PST -08:00 America/Los_Angeles - = Pacific Standard Time of North America | Philippine Standard Time (UTC+08:00), Pakistan Standard Time (UTC+05:00)
PDT -07:00 America/Los_Angeles -
AKST -09:00 America/Anchorage -
AKDT -08:00 America/Anchorage -
HST -10:00 - -
AST -04:00 - America/Halifax,Asia/Riyadh = Atlantic Standard Time | Arabia Standard Time (UTC+03:00)
ADT -03:00 - - = Atlantic Daylight Time | Arabia Daylight Time (UTC+04:00)
NDT -02:30 - -
AMT -04:00 - America/Manaus,Asia/Yerevan = Amazon Time | Armenia Time (UTC+04:00)
BRT -03:00 - -
ART -03:00 - -
GST +04:00 - Asia/Dubai,Atlantic/South_Georgia = Gulf Standard Time | South Georgia Time (UTC-02:00)
SST -11:00 - Pacific/Pago_Pago,Asia/Singapore = Samoa Standard Time | Singapore Standard Time (UTC+08:00)
WET +00:00 Europe/Lisbon -
WEST +01:00 Europe/Lisbon -
BST +01:00 Europe/London Europe/London,Asia/Dhaka = British Summer Time | Bangladesh Standard Time (UTC+06:00), Bougainville Standard Time (UTC+11:00)
CET +01:00 Europe/Berlin -
CEST +02:00 Europe/Berlin -
MEZ +01:00 Europe/Berlin -
MESZ +02:00 Europe/Berlin -
EET +02:00 Europe/Helsinki -
EEST +03:00 Europe/Helsinki -
MSK +03:00 - -
TRT +03:00 - -
SAST +02:00 - -
WAT +01:00 - -
CAT +02:00 - -
EAT +03:00 - -
PKT +05:00 - -
IST +05:30 - Asia/Kolkata,Europe/Dublin,Asia/Jerusalem = India Standard Time | Israel Standard Time (UTC+02:00), Irish Standard Time (UTC+01:00)
NPT +05:45 - -
ICT +07:00 - -
WIB +07:00 - -
SGT +08:00 - -
HKT +08:00 - -
PHT +08:00 - -
AWST +08:00 - -
JST +09:00 - -
KST +09:00 - -
ACST +09:30 - -
ACDT +10:30 - -
AEST +10:00 - -
AEDT +11:00 - -
NZST +12:00 Pacific/Auckland -
NZDT +13:00 Pacific/Auckland -
"""  # noqa: E501  one zone a line: abbreviation, offset, region with summer time, meanings = usual | others


def _read(line: str) -> tuple[str, Abbreviation]:
    plain, _, meanings = line.partition(" = ")
    name, offset, region, zones = plain.split()
    usual, _, others = meanings.partition(" | ")
    names = tuple(zones.split(",")) if zones != "-" else ()
    return name, Abbreviation(
        offset_of(offset) or timedelta(0), region.removeprefix("-"), names, usual, others
    )


ABBREVIATIONS: Final = dict(map(_read, _TABLE.strip().splitlines()))
"""By abbreviation, in capitals."""
GENERIC: Final = {
    "PACIFIC": "America/Los_Angeles", "MOUNTAIN": "America/Denver", "CENTRAL": "America/Chicago",
    "EASTERN": "America/New_York", "PT": "America/Los_Angeles", "MT": "America/Denver",
    "CT": "America/Chicago", "ET": "America/New_York",
}  # fmt: skip
"""IANA names by names that hold in summer and winter, in capitals."""
_MAX_NAME = 60
ZONE: Final = (
    r"(?:(?:UTC|GMT) ?[+-] ?\d{1,2}(?::?\d\d)?(?!\d)|[+-]\d\d:?\d\d(?!\d)"
    r"|(?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[\w+/-]+"
    r"|(?:Pacific|Mountain|Central|Eastern)(?: (?:standard |daylight )?time)?\b"
    rf"|(?:{'|'.join((*ABBREVIATIONS, 'PT', 'MT', 'CT', 'ET'))})\b)"
)
"""Pattern of what `zone_named` may know."""


def zone_named(name: str, near: tzinfo | None = None) -> tzinfo:
    """Return the zone called `UTC`, `Europe/Paris`, `JST`, `Pacific Time`, `UTC+9` or `+02:00`.

    An abbreviation of several zones is that of `near`, if it is one of them.

    Raises:
        ValueError: no such zone, or several; the message says which.
    """
    key = " ".join(name.upper().split())
    if known := ABBREVIATIONS.get(key):
        if isinstance(near, ZoneInfo) and near.key in known.zones:
            return near
        if known.zones:
            raise ValueError(
                f"{name} can be the time of {', '.join(known.zones)}; write one of these instead"
            )
        return timezone(known.offset, key) if known.offset else UTC
    ahead = offset_of(key)
    if ahead is not None and abs(ahead) < MAX_OFFSET + timedelta(hours=1):
        return timezone(ahead)
    region = GENERIC.get(key.removesuffix(" TIME").removesuffix(" STANDARD").removesuffix(" DAYLIGHT"), name)
    try:
        if len(name) <= _MAX_NAME:
            return ZoneInfo(region)
    # The name becomes a path below the zone database: it can be a folder, or leave it.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"unknown time zone {name[:_MAX_NAME]!r}")
