"""Time zones by abbreviation, offset, IANA name, or city as in `Berlin time`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from context_builder.text.zones import ABBREVIATIONS, GENERIC, MAX_OFFSET, offset_of


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


_PLACES = """
America/New_York: us eastern, east coast, boston, washington, atlanta, miami
America/Chicago: us central, dallas, austin
America/Los_Angeles: us pacific, west coast, san francisco, seattle, california
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
    ahead = offset_of(offset)
    if ahead is None or abs(ahead) > MAX_OFFSET:
        return Zone(offset.strip(), None)
    return Zone(_written(ahead), timezone(ahead))


def _written(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta(0)).total_seconds()) // 60
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@cache
def _abbreviations() -> dict[str, Zone]:
    zones = {}
    for name, known in ABBREVIATIONS.items():
        offset = _written(known.offset)
        note = f"{name} is read as {known.usual} ({offset}); it may also mean {known.others}"
        rules = timezone(known.offset)
        zones[name] = Zone(name, rules, note if known.others else "", known.region)
    generic = {name: key for name, key in GENERIC.items() if len(name) == len("ET")}
    return zones | {name: Zone(name, ZoneInfo(key)) for name, key in generic.items()}


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
    cities |= {name.casefold(): key for name, key in GENERIC.items()}
    for line in _PLACES.strip().splitlines():
        key, _, places = line.partition(": ")
        cities |= dict.fromkeys(places.casefold().split(", "), key)
    return cities
