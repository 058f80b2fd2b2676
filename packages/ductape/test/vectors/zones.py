"""Writes zones.json: calendar windows as Python's zoneinfo sees them. Usage: python3 zones.py

Zones with the same offsets from 2017 to 2042 form one group and share its vectors. Instants are
epoch seconds. Nothing here is taken from src/period.ts: boundaries are listed as local dates, and
each is looked up in the group's list of offsets.
"""

import calendar
import json
import pathlib
import random
from bisect import bisect_right
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

SEED = 20260131
HERE = pathlib.Path(__file__).parent
DAY = 86_400
FIRST_DAY = date(1970, 1, 1)
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
CIVIL = (
    [("day", 1, "monday"), ("month", 1, "monday"), ("quarter", 1, "monday"), ("year", 1, "monday")]
    + [("week", 1, weekday) for weekday in WEEKDAYS]
    + [("day", 3, "monday"), ("day", 10, "monday"), ("week", 2, "sunday"), ("week", 3, "monday")]
    + [("month", 2, "monday"), ("month", 5, "monday"), ("quarter", 2, "monday")]
    + [("year", 4, "monday"), ("hour", 1, "monday")]
)
HOUR = len(CIVIL) - 1
ANCHORED = [("day", 1), ("day", 14), ("week", 1), ("month", 1), ("month", 2), ("quarter", 1), ("year", 1)]
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def epoch(*fields):
    return int(datetime(*fields, tzinfo=timezone.utc).timestamp())


SCAN = (epoch(2017, 1, 1), epoch(2043, 1, 1))
RANGE = (epoch(2020, 1, 1), epoch(2038, 1, 1))


def offset_at(zone, at):
    return int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds())


def segments_of(zone):
    """Stretches of one offset: (start, end, offset), from the scan's start to its end."""
    start, offset, segments = SCAN[0], offset_at(zone, SCAN[0]), []
    for at in range(SCAN[0], SCAN[1], DAY):
        if offset_at(zone, at) == offset:
            continue
        low, high = at - DAY, at
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset_at(zone, middle) == offset else (low, middle)
        segments.append((start, high, offset))
        start, offset = high, offset_at(zone, high)
    return tuple(segments + [(start, SCAN[1], offset)])


class Group:
    def __init__(self, segments):
        self.segments = segments
        self.starts = [start for start, _, _ in segments]
        self.lists = {}

    def segment(self, at):
        return self.segments[bisect_right(self.starts, at) - 1]

    def first(self, local):
        """The first instant whose local time is not before `local`, both as epoch seconds."""
        for start, end, offset in self.segments:
            if max(start, local - offset) < end:
                return max(start, local - offset)
        return SCAN[1]

    def count(self, local):
        """How many instants read `local`."""
        return sum(start <= local - offset < end for start, end, offset in self.segments)

    def boundaries(self, key, locals_):
        if key not in self.lists:
            self.lists[key] = sorted({self.first(local) for local in locals_()})
        return self.lists[key]

    def window(self, key, locals_, now):
        known = self.boundaries(key, locals_)
        at = bisect_right(known, now)
        return known[at - 1], known[at]

    def hour(self, now):
        start, end, offset = self.segment(now)
        aligned = now - (now + offset) % 3600
        return max(start, aligned), min(end, aligned + 3600)


def local_seconds(day, second=0):
    return (day - FIRST_DAY).days * DAY + second


def civil_locals(unit, every, weekday):
    """Local times of all boundaries from 2017 to 2042, counted from 1970."""
    if unit in MONTHS:
        step = every * MONTHS[unit]
        months = range(0, (2043 - 1970) * 12, step)
        return [local_seconds(date(1970 + m // 12, m % 12 + 1, 1)) for m in months if m >= 47 * 12 - step]
    first = FIRST_DAY
    while unit == "week" and WEEKDAYS[first.weekday()] != weekday:
        first -= timedelta(days=1)
    step = every * (7 if unit == "week" else 1)
    days = range((first - FIRST_DAY).days, (date(2043, 1, 1) - FIRST_DAY).days, step)
    return [day * DAY for day in days if day >= 47 * 365 - step]


def anchored_locals(unit, every, anchor_local):
    day, second = FIRST_DAY + timedelta(days=anchor_local // DAY), anchor_local % DAY
    if unit not in MONTHS:
        step = every * (7 if unit == "week" else 1) * DAY
        return range(anchor_local - 8000 * DAY // step * step, anchor_local + 8000 * DAY, step)
    step, found = every * MONTHS[unit], []
    for k in range(-252 // step, 252 // step + 1):
        month = day.year * 12 + day.month - 1 + k * step
        year, month = month // 12, month % 12 + 1
        last = calendar.monthrange(year, month)[1]
        found.append(local_seconds(date(year, month, min(day.day, last)), second))
    return found


def odd_midnights(group):
    """(change, midnight) for each local midnight from 2020 to 2037 that is missing or doubled."""
    found = []
    for start, _, offset in group.segments[1:]:
        if not RANGE[0] <= start < RANGE[1]:
            continue
        for day in range((start + offset) // DAY - 1, (start + offset) // DAY + 3):
            if group.count(day * DAY) != 1:
                found.append((start, day * DAY))
    return found


def civil_vectors(group, rng):
    wanted = set()
    for change, midnight in odd_midnights(group):
        weekday = WEEKDAYS[(FIRST_DAY + timedelta(days=midnight // DAY)).weekday()]
        shapes = [0, CIVIL.index(("week", 1, weekday)), 11, 12]
        if (FIRST_DAY + timedelta(days=midnight // DAY)).day == 1:
            shapes += [1, 2, 3, 15, 16]
        first = group.first(midnight)
        for shape in shapes:
            wanted |= {(shape, at) for at in (first - 1, first, change)}
        wanted |= {(0, change - 1), (0, first + DAY), (HOUR, change - 1), (HOUR, change)}
    for change in group.starts[1:]:
        if RANGE[0] <= change < RANGE[1]:
            near = rng.choice([rng.randrange(-DAY, DAY), rng.randrange(-3, 3)])
            if rng.random() < 0.2:
                wanted.add((rng.choice([0, rng.randrange(HOUR)]), change + near))
            if rng.random() < 0.15:
                wanted.add((HOUR, change + rng.choice([-1801, -1, 0, 1799, 1801, 3601])))
    for shape in range(len(CIVIL)):
        wanted.add((shape, rng.randrange(*RANGE)))
    flat = []
    for shape, now in sorted(wanted):
        unit, every, weekday = CIVIL[shape]
        locals_ = lambda: civil_locals(unit, every, weekday)
        start, end = group.hour(now) if shape == HOUR else group.window(shape, locals_, now)
        flat += [shape, now, now - start, end - now]
    return flat


def anchored_vectors(group, rng):
    changes = [at for at in group.starts[1:] if RANGE[0] <= at < RANGE[1]]
    flat = []
    for turn in range(len(ANCHORED)):
        shape = turn % len(ANCHORED)
        day = date(rng.randrange(2021, 2037), rng.choice([1, 3, 5, 7, 8, 10, 12]), rng.randrange(26, 32))
        anchor = local_seconds(day, rng.randrange(DAY))
        now = rng.randrange(*RANGE)
        if turn % 2 == 0 and changes:
            # Steps of days from here meet a local time that is missing or doubled.
            now = rng.choice(changes) + rng.randrange(-7200, 7200)
            near = rng.choice(changes)
            anchor = near + rng.randrange(-40, 41) * DAY + rng.choice([-1800, 0, 1800, 900])
            if not RANGE[0] <= anchor < RANGE[1]:
                anchor = near
        unit, every = ANCHORED[shape]
        local = anchor + group.segment(anchor)[2]
        start, end = group.window((shape, anchor), lambda: anchored_locals(unit, every, local), now)
        flat += [shape, anchor, now, now - start, end - now]
    return flat


def groups():
    by_segments = {}
    for name in sorted(available_timezones() - {"Factory", "localtime"}):
        by_segments.setdefault(segments_of(ZoneInfo(name)), []).append(name)
    return by_segments


def main():
    rng = random.Random(SEED)
    zi = pathlib.Path("/usr/share/zoneinfo/tzdata.zi").read_text().split("\n", 1)[0]
    document = {
        "source": f"Python zoneinfo, tzdata {zi.removeprefix('# version ')}",
        "seed": SEED,
        "civil": [{"every": every, "unit": unit, "weekStart": day} for unit, every, day in CIVIL],
        "anchored": [{"every": every, "unit": unit} for unit, every in ANCHORED],
        "groups": [],
    }
    zones = missing = doubled = 0
    for segments, names in groups().items():
        group = Group(segments)
        zones += len(names)
        midnights = odd_midnights(group)
        gaps = sum(group.count(local) == 0 for _, local in midnights)
        missing, doubled = missing + gaps * len(names), doubled + (len(midnights) - gaps) * len(names)
        document["groups"].append({
            "zones": names,
            "offsets": [x for start, _, offset in segments for x in (start, offset)],
            "civil": civil_vectors(group, rng),
            "anchored": anchored_vectors(group, rng),
        })
    lines = ",\n".join(json.dumps(group, separators=(",", ":")) for group in document.pop("groups"))
    head = json.dumps(document, separators=(",", ":"))[:-1]
    (HERE / "zones.json").write_text(f'{head},"groups":[\n{lines}\n]}}\n')
    print(f"{zones} zones: {missing} midnights missing, {doubled} doubled")


if __name__ == "__main__":
    main()
