"""Writes postgres.json: starts of calendar windows by PostgreSQL's date_trunc(unit, instant, zone).

Usage: python3 postgres.py [bin directory]; as root, the server runs as user postgres. Needs
zones.json. One zone stands for each group. PostgreSQL takes a missing or doubled local time for
standard time, where the contract takes the first instant, and does not cut an hour at a change of
offset: instants whose window touches such a boundary are left out, and zones.json has them.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from zones import DAY, RANGE, SCAN, Group, civil_locals

SEED = 20260228
HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/lib/postgresql/15/bin")
UNITS = ["hour", "day", "week", "month", "quarter", "year"]


def run(*command, **options):
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    done = subprocess.run([*user, *map(str, command)], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def ask(sql):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vectors-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        run(BIN / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", cwd="/tmp")
        control = (BIN / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log")
        run(*control, "-o", options, "start", cwd="/tmp")
        try:
            psql = (BIN / "psql", "-h", folder, "-U", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1")
            return run(*psql, input=sql, cwd="/tmp")
        finally:
            run(*control, "-m", "immediate", "stop", cwd="/tmp")
    finally:
        shutil.rmtree(folder)


def is_plain(group, unit, now):
    """True where both boundaries of the window are read once by the local clock."""
    start, end, offset = group.segment(now)
    if unit == "hour":
        return start + 3600 <= now < end - 3600
    if now - start < DAY or end - now < DAY:
        day = (now + offset) // DAY
        if any(group.count((day + near) * DAY) != 1 for near in (-1, 0, 1, 2)):
            return False
    known = civil_locals(unit, 1, "monday")
    return all(group.count(local) == 1 for local in known if abs(local - now) < 367 * DAY)


def main():
    rng = random.Random(SEED)
    document = json.loads((HERE / "zones.json").read_text())
    asked = []
    for group in document["groups"]:
        flat = group["offsets"]
        ends = [*flat[2::2], SCAN[1]]
        known = Group(tuple(zip(flat[::2], ends, flat[1::2])))
        changes = [at for at in known.starts[1:] if RANGE[0] <= at < RANGE[1]] or [RANGE[0] + DAY]
        for turn in range(3 * len(UNITS)):
            unit = UNITS[turn % len(UNITS)]
            near = rng.choice(changes) + rng.randrange(-2 * DAY, 2 * DAY)
            now = near if rng.random() < 0.5 else rng.randrange(*RANGE)
            if is_plain(known, unit, now):
                asked.append((group["zones"][0], unit, now))
    rows = ",".join(f"({i},'{zone}','{unit}',{now})" for i, (zone, unit, now) in enumerate(asked))
    answer = ask(
        "SELECT current_setting('server_version');"
        "SELECT extract(epoch FROM date_trunc(unit, to_timestamp(now), zone))::bigint"
        f" FROM (VALUES {rows}) AS asked (i, zone, unit, now) ORDER BY i;"
    ).splitlines()
    zones = {}
    version = answer.pop(0).split()[0]
    for (zone, unit, now), start in zip(asked, answer, strict=True):
        zones.setdefault(zone, []).extend([UNITS.index(unit), now, now - int(start)])
    head = {"source": f"PostgreSQL {version} date_trunc, {document['source'][-5:]}", "units": UNITS}
    lines = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in zones.items())
    text = json.dumps(head, separators=(",", ":"))[:-1]
    (HERE / "postgres.json").write_text(f'{text},"zones":{{\n{lines}\n}}}}\n')
    print(f"{len(asked)} instants in {len(zones)} zones")


if __name__ == "__main__":
    main()
