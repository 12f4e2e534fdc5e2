#!/usr/bin/env bash
# The shipped daemon under a clock that runs 3,600 times as fast (Debian's `faketime`): both changes
# of the clocks in three zones, and thirty days, with a `noop` pipeline. An hour is a second: it takes
# twelve minutes. Each daemon is killed hard once on the way.
#
#   tests/faketime.sh target/release/trendmill
set -euo pipefail
binary=$(realpath "${1:?the trendmill executable}")
library=$(find /usr/lib -name 'libfaketimeMT.so.1' -print -quit)
[ -n "$library" ] || { echo "libfaketime is not here; apt-get install faketime"; exit 3; }

# Which ticks a schedule must have made between two moments: by cron's rule, once per local day.
wanted() { # zone hour:minute from to
    python3 - "$@" <<'PYTHON'
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
zone, time, start, end = sys.argv[1:]
zone, (hour, minute) = ZoneInfo(zone), map(int, time.split(":"))
start, end = (datetime.fromisoformat(text).replace(tzinfo=timezone.utc) for text in (start, end))
day = start.astimezone(zone).date() - timedelta(days=1)
while day <= end.astimezone(zone).date():
    wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    tick = wall.astimezone(timezone.utc)
    if tick.astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None):
        # The clocks jump over it: it is due right after the jump.
        second = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
        offset = lambda at: datetime.fromtimestamp(at, zone).utcoffset()
        first = offset(second)
        while offset(second) == first:
            second += 60
        tick = datetime.fromtimestamp(second, timezone.utc)
    if start < tick <= end:
        print(tick.strftime("%Y-%m-%dT%H:%M:%SZ"))
    day += timedelta(days=1)
PYTHON
}

# One home, one zone, one change of its clocks. The daemon is killed hard once on the way.
cross() { # zone time from to
    local zone=$1 time=$2 from=$3 to=$4 home
    home=$(mktemp -d)
    mkdir -p "$home/pipelines"
    cat >"$home/pipelines/daily.toml" <<TOML
name = "daily"
[schedule]
cron = "${time#*:} ${time%:*} * * *"
timezone = "$zone"
catchup = "all"
[[task]]
id = "nothing"
op = "noop"
TOML
    local begin seconds passed=0
    begin=$(date -u -d "$from" +%s)
    seconds=$((($(date -u -d "$to" +%s) - begin) / 3600))
    # Each life of the daemon begins where the one before it ended.
    for part in $((seconds / 3)) $((seconds - seconds / 3)); do
        local at
        at=$(date -u -d "@$((begin + passed * 3600))" '+%Y-%m-%d %H:%M:%S')
        env TZ=UTC LD_PRELOAD="$library" FAKETIME="@$at x3600" DONT_FAKE_MONOTONIC=1 \
            FAKETIME_NO_CACHE=1 "$binary" --home "$home" --quiet up --listen 127.0.0.1:0 \
            >"$home/log" 2>&1 &
        local daemon=$!
        sleep "$part"
        passed=$((passed + part))
        kill -9 "$daemon"
        wait "$daemon" 2>/dev/null || true
    done
    local end made
    end=$(date -u -d "@$((begin + (passed - 6) * 3600))" +%Y-%m-%dT%H:%M:%S)
    made=$(python3 - "$home/data/state.db" <<'PYTHON'
import sqlite3, sys
from datetime import datetime, timezone
rows = sqlite3.connect(sys.argv[1]).execute(
    "SELECT scheduled_for FROM runs WHERE schedule = 'daily/default' ORDER BY scheduled_for")
for (tick,) in rows:
    print(datetime.fromtimestamp(tick / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
PYTHON
)
    # What fell due in the last hours may not have become a run before the end.
    if ! diff <(wanted "$zone" "$time" "${from/ /T}" "$end") <(awk -v end="${end}Z" '$1 && $1 <= end' <<<"$made"); then
        echo "FAILED: $zone $time $from"
        tail -5 "$home/log"
        return 1
    fi
    echo "$zone at $time from $from: $(wc -l <<<"$made") runs, each local day once"
    rm -rf "$home"
}

later() { date -u -d "@$(($(date -u -d "$1" +%s) + $2 * 86400))" '+%Y-%m-%d %H:%M:%S'; }
crossings=()
while read -r zone time day days; do
    cross "$zone" "$time" "$day 12:00:00" "$(later "$day 12:00:00" "$days")" &
    crossings+=($!)
done <<'CHANGES'
America/New_York 02:30 2026-03-06 4
America/New_York 01:30 2026-10-30 4
Europe/Berlin 02:30 2026-03-27 4
Europe/Berlin 02:30 2026-10-23 4
Australia/Lord_Howe 02:15 2026-10-02 4
Australia/Lord_Howe 01:45 2026-04-03 4
UTC 04:00 2026-06-01 30
CHANGES
failed=0
for crossing in "${crossings[@]}"; do
    wait "$crossing" || failed=1
done
exit "$failed"
