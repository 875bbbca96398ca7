"""Time zones by abbreviation, offset, IANA name, or city as in `Berlin time`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

_MAX_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as a question names it."""

    name: str
    rules: tzinfo | None
    """None if there is no such zone."""
    note: str = ""
    """How the name is understood if it means several zones."""
    region: str = ""
    """IANA name of the place whose summer time an abbreviation leaves out."""

    def note_at(self, moment: datetime) -> str:
        """Say that the zone's place keeps another time at this moment, if so."""
        if not self.region or self.rules is None:
            return ""
        meant, kept = (moment.astimezone(zone).utcoffset() for zone in (self.rules, ZoneInfo(self.region)))
        if meant == kept:
            return ""
        return f"{self.name} is {_written(meant)} all year, but {self.region} keeps {_written(kept)} then"


_FIXED = """
EST -05:00 America/New_York = Eastern Standard Time of North America | Australian Eastern Standard Time (UTC+10:00)
EDT -04:00 America/New_York
CST -06:00 America/Chicago = Central Standard Time of North America | China Standard Time (UTC+08:00), Cuba Standard Time (UTC-05:00)
CDT -05:00 America/Chicago = Central Daylight Time of North America | Cuba Daylight Time (UTC-04:00)
MST -07:00 - = Mountain Standard Time of North America | Myanmar Standard Time (UTC+06:30), Malaysia Standard Time (UTC+08:00)
MDT -06:00 America/Denver
PST -08:00 America/Los_Angeles = Pacific Standard Time of North America | Philippine Standard Time (UTC+08:00), Pakistan Standard Time (UTC+05:00)
PDT -07:00 America/Los_Angeles
AKST -09:00 America/Anchorage
AKDT -08:00 America/Anchorage
HST -10:00 -
AST -04:00 - = Atlantic Standard Time | Arabia Standard Time (UTC+03:00)
ADT -03:00 - = Atlantic Daylight Time | Arabia Daylight Time (UTC+04:00)
BRT -03:00 -
ART -03:00 -
GST +04:00 - = Gulf Standard Time | South Georgia Time (UTC-02:00)
WET +00:00 Europe/Lisbon
WEST +01:00 Europe/Lisbon
BST +01:00 Europe/London = British Summer Time | Bangladesh Standard Time (UTC+06:00), Bougainville Standard Time (UTC+11:00)
CET +01:00 Europe/Berlin
CEST +02:00 Europe/Berlin
MEZ +01:00 Europe/Berlin
MESZ +02:00 Europe/Berlin
EET +02:00 Europe/Helsinki
EEST +03:00 Europe/Helsinki
MSK +03:00 -
SAST +02:00 -
PKT +05:00 -
IST +05:30 - = India Standard Time | Israel Standard Time (UTC+02:00), Irish Standard Time (UTC+01:00)
SGT +08:00 -
HKT +08:00 -
AWST +08:00 -
JST +09:00 -
KST +09:00 -
ACST +09:30 -
AEST +10:00 -
AEDT +11:00 -
NZST +12:00 Pacific/Auckland
NZDT +13:00 Pacific/Auckland
"""  # noqa: E501  one zone a line: abbreviation, offset, region with summer time = meaning | other meanings
_PLACES = """
America/New_York: ET, eastern, us eastern, east coast, boston, washington, atlanta, miami
America/Chicago: CT, central, us central, dallas, austin
America/Denver: MT, mountain
America/Los_Angeles: PT, pacific, us pacific, west coast, san francisco, seattle, california
Europe/Berlin: central european, german, germany, munich, frankfurt, hamburg, cologne
Europe/London: uk, british
Europe/Paris: french, france
Europe/Madrid: spanish, spain
Europe/Rome: italian, italy, milan
Asia/Kolkata: indian, india, mumbai, delhi, new delhi, bangalore, hyderabad, chennai
Asia/Shanghai: chinese, china, beijing, shenzhen
Asia/Tokyo: japanese, japan, osaka
America/Sao_Paulo: brazilian, brazil, brasilia
Australia/Sydney: sydney, canberra
"""
_OFFSET = re.compile(r"(?:utc|gmt)? ?([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


def find_zone(name: str) -> Zone | None:
    """Return the zone of an abbreviation or an IANA name, in any case of letters."""
    if name.upper() in ("UTC", "GMT", "Z"):
        return Zone("UTC", UTC)
    abbreviated = _abbreviations().get(name.upper())
    if abbreviated:
        return abbreviated
    key = _iana().get(name.casefold()) if "/" in name else None
    return Zone(key, ZoneInfo(key)) if key else None


def zone_of_place(place: str) -> Zone | None:
    """Return the zone of a place as in `New York time`; local time is read as UTC, with a note."""
    if place.casefold() == "local":
        return Zone("local time", UTC, note="local time is read as UTC, since the place is not known")
    key = _places().get(place.casefold())
    return Zone(key, ZoneInfo(key)) if key else None


def zone_at_offset(offset: str) -> Zone:
    """Return the zone of `+02:00`, `-0800` or `UTC+2`."""
    match = _OFFSET.fullmatch(offset.strip())
    if match is None:
        raise ValueError(f"not an offset: {offset!r}")
    ahead = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    if ahead > _MAX_OFFSET:
        return Zone(offset.strip(), None)
    ahead = ahead if match[1] == "+" else -ahead
    return Zone(_written(ahead), timezone(ahead))


def _written(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta(0)).total_seconds()) // 60
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@cache
def _abbreviations() -> dict[str, Zone]:
    zones = {}
    for line in _FIXED.strip().splitlines():
        plain, _, meanings = line.partition(" = ")
        name, offset, region = plain.split()
        fixed = zone_at_offset(offset)
        usual, _, others = meanings.partition(" | ")
        note = f"{name} is read as {usual} ({fixed.name}); it may also mean {others}" if others else ""
        zones[name] = Zone(name, fixed.rules, note, region.removeprefix("-"))
    generic = {place: key for place, key in _places().items() if place in ("et", "ct", "mt", "pt")}
    return zones | {place.upper(): Zone(place.upper(), ZoneInfo(key)) for place, key in generic.items()}


@cache
def _iana() -> dict[str, str]:
    names = files("tzdata").joinpath("zones").read_text("utf-8").split()
    return {name.casefold(): name for name in names}


@cache
def _places() -> dict[str, str]:
    """Map cities and other places in lower case to IANA names; the shortest name of a city wins."""
    cities = {
        key.rpartition("/")[2].replace("_", " "): name
        for key, name in sorted(_iana().items(), key=lambda each: -len(each[1]))
        if not key.startswith("etc/")
    }
    for line in _PLACES.strip().splitlines():
        key, _, places = line.partition(": ")
        cities |= dict.fromkeys(places.casefold().split(", "), key)
    return cities
