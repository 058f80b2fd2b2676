"""Writes calendar.json: windows as Python's zoneinfo sees them. Usage: python3 generate.py

Nothing here is taken from src/period.ts. Every boundary is a local date-time, and the first instant
whose wall clock is not before it is found by scanning. Instants are epoch seconds, and each comes
with the offset that zoneinfo has there, so that a reader can tell another time-zone database.
"""

import calendar
import json
import pathlib
import random
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

SEED = 20260517
TARGET = pathlib.Path(__file__).parent / "calendar.json"
DAY = 86_400
QUARTER_HOUR = 900
FIRST_DAY = date(1970, 1, 1)
FIRST_YEAR, LAST_YEAR = 2020, 2037
MONTHS = {"month": 1, "quarter": 3, "year": 12}
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
ALWAYS = (
    "UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon America/New_York America/St_Johns "
    "America/Los_Angeles America/Sao_Paulo America/Havana America/Santiago America/Asuncion "
    "America/Nuuk America/Scoresbysund Atlantic/Azores Africa/Cairo Africa/Casablanca "
    "Africa/El_Aaiun Asia/Beirut Asia/Gaza Asia/Tehran Asia/Amman Asia/Damascus Asia/Kathmandu "
    "Asia/Kolkata Asia/Tokyo Asia/Almaty Australia/Lord_Howe Australia/Sydney Australia/Eucla "
    "Antarctica/Troll Antarctica/Casey Pacific/Apia Pacific/Chatham Pacific/Kiritimati "
    "Pacific/Marquesas Pacific/Auckland Pacific/Easter Pacific/Norfolk Pacific/Fiji"
).split()
PLAIN = [("day", "monday"), ("week", "monday"), ("week", "sunday"), ("month", "monday")]
PLAIN += [("quarter", "monday"), ("year", "monday"), ("hour", "monday")]


def utc(year, month=1, day=1):
    return calendar.timegm((year, month, day, 0, 0, 0))


RANGE = (utc(FIRST_YEAR), utc(LAST_YEAR + 1))


def is_wanted(name):
    return not name.startswith(("posix/", "right/")) and name not in ("localtime", "Factory")


@lru_cache(maxsize=2_000_000)
def offset_at(zone, at):
    return int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds())


def first_instant(zone, local):
    """The first instant whose wall clock is not before `local` (local seconds, as if UTC)."""
    at = (local - 27 * 3600) // QUARTER_HOUR * QUARTER_HOUR
    while at + offset_at(zone, at) < local:
        at += QUARTER_HOUR
    at -= QUARTER_HOUR
    while at + int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds()) < local:
        at += 1
    return at


def seconds_of(day, time=0):
    return (day - FIRST_DAY).days * DAY + time


def add_months(day, months):
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def boundary(origin, time, unit, every, index):
    if unit in MONTHS:
        return seconds_of(add_months(origin, index * every * MONTHS[unit]), time)
    return seconds_of(origin + timedelta(days=index * every * (7 if unit == "week" else 1)), time)


def civil_window(zone, now, unit, every, origin, time=0):
    """Looks at steps one by one, from well before `now`."""
    days = every * {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[unit]
    index = (now - seconds_of(origin)) // (days * DAY) - 3
    while boundary(origin, time, unit, every, index) > now - 2 * DAY:
        index -= 1
    while boundary(origin, time, unit, every, index + 1) < now - 2 * DAY:
        index += 1
    start = first_instant(zone, boundary(origin, time, unit, every, index))
    while True:
        index += 1
        end = first_instant(zone, boundary(origin, time, unit, every, index))
        if end > now:
            assert start <= now
            return start, end
        start = end


def hour_window(zone, now):
    """The seconds around `now` that have its offset and its hour on the wall clock."""

    def label(at):
        offset = int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds())
        return offset, (at + offset) // 3600

    start, end = now, now + 1
    while label(start - 1) == label(now):
        start -= 1
    while label(end) == label(now):
        end += 1
    return start, end


def week_origin(week_start):
    day = FIRST_DAY
    while WEEKDAYS[day.weekday()] != week_start:
        day -= timedelta(days=1)
    return day


def odd_midnights(zone):
    """(day, is a gap) for each local midnight that does not exist or comes twice."""
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        first, second = midnight.utcoffset(), midnight.replace(fold=1).utcoffset()
        if first != second:
            yield day, first < second
        day += timedelta(days=1)


def changes_of(zone):
    found, at = [], RANGE[0]
    while at < RANGE[1]:
        if offset_at(zone, at) != offset_at(zone, at + DAY):
            change = at
            while offset_at(zone, change) == offset_at(zone, at):
                change += QUARTER_HOUR
            found.append(change)
        at += DAY
    return found


class Writer:
    def __init__(self):
        self.zones, self.shapes, self.groups = {}, {}, {}

    def add(self, group, name, unit, every, week_start, now, window, anchor=None):
        zone, (start, end) = ZoneInfo(name), window
        shape = self.shapes.setdefault((unit, every, week_start), len(self.shapes))
        index = self.zones.setdefault(name, len(self.zones))
        row = [index, shape, now, now - start, end - now]
        row += [offset_at(zone, at) for at in (start, now, end)]
        if anchor is not None:
            row += [anchor, offset_at(zone, anchor)]
        self.groups.setdefault(group, []).append(row)


def add_odd_days(writer, names):
    missing, doubled, canonical = 0, 0, set()
    for name in names:
        zone = ZoneInfo(name)
        for day, is_gap in odd_midnights(zone):
            missing, doubled = missing + is_gap, doubled + (not is_gap)
            start = first_instant(zone, seconds_of(day))
            end = first_instant(zone, seconds_of(day + timedelta(days=1)))
            canonical.add((day, is_gap, start, end))
            group = "missingMidnights" if is_gap else "doubledMidnights"
            writer.add(group, name, "day", 1, "monday", start + (end - start) // 3, (start, end))
    print(f"{len(names)} zones: {missing} midnights missing, {doubled} doubled; "
          f"{sum(gap for _, gap, _, _ in canonical)} and "
          f"{sum(not gap for _, gap, _, _ in canonical)} when equal days count once")


def add_plain(writer, rng, name, changes):
    zone = ZoneInfo(name)
    for unit, week_start in PLAIN:
        for turn in range(4):
            now = rng.randrange(*RANGE)
            if turn > 1 and changes:
                now = rng.choice(changes) + rng.choice([-1, 0, 1799, rng.randrange(-7200, 7200)])
            origin = week_origin(week_start) if unit == "week" else FIRST_DAY
            if unit == "hour":
                window = hour_window(zone, now)
            else:
                window = civil_window(zone, now, unit, 1, origin)
            writer.add("plain", name, unit, 1, week_start, now, window)


def add_multiples(writer, rng, name, changes):
    for turn in range(9):
        unit, every = ("day", "week", "month")[turn % 3], rng.randrange(2, 15)
        week_start = rng.choice(WEEKDAYS) if unit == "week" else "monday"
        origin = week_origin(week_start) if unit == "week" else FIRST_DAY
        now = rng.randrange(*RANGE)
        if turn > 4 and changes:
            now = rng.choice(changes) + rng.randrange(-DAY, DAY)
        window = civil_window(ZoneInfo(name), now, unit, every, origin)
        writer.add("multiples", name, unit, every, week_start, now, window)


def add_anchored(writer, rng, name, changes):
    """Anchors on the 29th to 31st of a month, from before `now` and after it."""
    zone = ZoneInfo(name)
    for turn in range(9):
        month = rng.choice([1, 3, 5, 7, 8, 10, 12])
        day = date(rng.randrange(2021, 2037), month, 31 if turn % 3 else rng.randrange(29, 32))
        anchor = seconds_of(day, rng.randrange(DAY))
        if turn == 8 and changes:
            # A first or last hour that meets the change of another month.
            anchor = rng.choice(changes) + rng.randrange(-3600, 3600)
        now = rng.randrange(RANGE[0], anchor) if turn % 2 else rng.randrange(anchor, RANGE[1])
        unit, every = [("month", 1), ("month", 1), ("month", rng.randrange(2, 15))][turn % 3]
        local = anchor + offset_at(zone, anchor)
        origin = FIRST_DAY + timedelta(days=local // DAY)
        window = civil_window(zone, now, unit, every, origin, local % DAY)
        writer.add("anchored", name, unit, every, "monday", now, window, anchor)


def main():
    rng = random.Random(SEED)
    names = sorted(filter(is_wanted, available_timezones()))
    writer = Writer()
    add_odd_days(writer, names)
    others = sorted(set(names) - set(ALWAYS))
    for name in ALWAYS + rng.sample(others, 62 - len(ALWAYS)):
        changes = changes_of(ZoneInfo(name))
        assert all(change % QUARTER_HOUR == 0 for change in changes)
        add_plain(writer, rng, name, changes)
        add_multiples(writer, rng, name, changes)
        add_anchored(writer, rng, name, changes)
    shapes = [{"period": {"every": e, "unit": u}, "weekStart": w} for u, e, w in writer.shapes]
    head = {"seed": SEED, "zones": list(writer.zones), "shapes": shapes}
    lines = json.dumps(head, separators=(",", ":"))[:-1] + ',"groups":{\n'
    parts = []
    for group, rows in writer.groups.items():
        text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        parts.append(f'"{group}":[\n{text}\n]')
        print(f"{group}: {len(rows)} vectors")
    TARGET.write_text(lines + ",\n".join(parts) + "\n}}\n")
    print(f"{len(writer.zones)} zones in vectors, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
