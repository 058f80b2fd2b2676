"""Writes multiples.json: windows that divide the day, by the wall clock of Python's zoneinfo.

Usage: python3 multiples.py. Takes the groups of zones.py, but looks at each wall clock minute by
minute, or second by second, instead of computing a boundary. A window of more than an hour lasts
while the latest time that the wall clock has shown stays in one step of the day; a shorter one
while the clock stays in one step and the offset stays too.
"""

import json
import pathlib
import random
from datetime import datetime
from zoneinfo import ZoneInfo

from zones import DAY, RANGE, groups

SEED = 20260604
TARGET = pathlib.Path(__file__).parent / "multiples.json"
HOUR, MINUTE = 3600, 60
LENGTHS = [seconds for seconds in range(2, DAY + 1) if DAY % seconds == 0 and seconds != MINUTE]


def wall(zone, at):
    """What the wall clock shows, as epoch seconds, and its offset."""
    offset = int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds())
    return at + offset, offset


def short_window(zone, now, length):
    def label(at):
        local, offset = wall(zone, at)
        return offset, local // length

    start, end, here = now, now + 1, label(now)
    while label(start - 1) == here:
        start -= 1
    while label(end) == here:
        end += 1
    return start, end


def long_window(zone, now, length):
    first = (now - 3 * DAY) // MINUTE * MINUTE
    latest, start, step = None, None, None
    for at in range(first, now + 3 * DAY, MINUTE):
        local = wall(zone, at)[0]
        latest = local if latest is None else max(latest, local)
        if latest // length != step:
            if at > now:
                return start, at
            start, step = at, latest // length
    raise AssertionError("a window of more than three days")


def changes_of(segments):
    return [start for start, _, _ in segments[1:] if RANGE[0] <= start < RANGE[1]]


def instants(rng, changes):
    """Most of them near a change of the clock, where there is one."""
    for _ in range(40 if changes else 10):
        near = [0, -1, rng.randrange(-HOUR, HOUR), rng.randrange(-DAY, DAY)]
        yield rng.choice(changes) + rng.choice(near) if changes else rng.randrange(*RANGE)


def main():
    rng = random.Random(SEED)
    order, found = [], []
    for segments, names in groups().items():
        zone, flat = ZoneInfo(names[0]), []
        for now in instants(rng, changes_of(segments)):
            order = order or rng.sample(LENGTHS, len(LENGTHS))
            length = order.pop()
            window = short_window if length <= HOUR else long_window
            start, end = window(zone, now, length)
            flat += [length, now, now - start, end - now]
        found.append({"zones": names, "windows": flat})
    zi = pathlib.Path("/usr/share/zoneinfo/tzdata.zi").read_text().split("\n", 1)[0]
    source = f"Python zoneinfo, tzdata {zi.removeprefix('# version ')}"
    head = json.dumps({"source": source, "seed": SEED}, separators=(",", ":"))[:-1]
    lines = ",\n".join(json.dumps(group, separators=(",", ":")) for group in found)
    TARGET.write_text(f'{head},"groups":[\n{lines}\n]}}\n')
    print(f"{sum(len(group['windows']) // 4 for group in found)} windows of {len(found)} groups")


if __name__ == "__main__":
    main()
