#!/usr/bin/env python3
"""Shows with strace that the shipped binary acknowledges nothing before it is synced.

    cargo build --release && tests/proofs/power.py [BINARY]

It runs a chain of shell tasks and a training in a home of their own, reads the order in which the
kernel was asked to write, to sync, to rename and to start programs, and holds it against four rules:

1. When a task's program starts, no write to the log of `state.db` is unsynced: its row is durable.
2. Nor is then a write to the log of `content.db`: the content of the tasks before is durable.
3. What is renamed into place has been synced as a whole, and its folder is synced after it.
4. When the run's end is told on standard output, nothing of `state.db` is unsynced.

tests/proofs/power.rs shows that what is synced then is enough.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIPELINE = """
name = "power"
[params]
source = "reddit"
[[task]]
id = "first"
op = "shell"
argv = ["true", "marker-first"]
[[task]]
id = "scrape"
op = "scrape"
after = ["first"]
source = "{{ params.source }}"
[[task]]
id = "scraped"
op = "shell"
after = ["scrape"]
argv = ["true", "marker-scraped"]
[[task]]
id = "refresh"
op = "refresh"
after = ["scraped"]
horizon = "36h"
tolerance = "1h"
[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "true"
[[task]]
id = "merge"
op = "merge"
after = ["filter"]
blocks = {}
numbers = ["hour"]
categories = ["community"]
target = "log1p(score)"
[[task]]
id = "train"
op = "train"
after = ["merge"]
[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]
[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]
[[task]]
id = "last"
op = "shell"
after = ["persist"]
argv = ["true", "marker-last"]
"""
WRITES = {"write", "pwrite64", "writev", "ftruncate"}
SYNCS = {"fsync", "fdatasync"}


def calls(trace):
    """The finished calls in order: (name, its text); one that was interrupted counts at its end
    where it syncs, and at its begin where it writes."""
    pending = {}
    for line in trace.splitlines():
        found = re.match(r"(\d+) +(.*)", line)
        if not found:
            continue
        pid, text = found.groups()
        if text.endswith("<unfinished ...>"):
            name = text.split("(")[0]
            pending[pid] = text
            if name not in SYNCS:
                yield name, text
            continue
        resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", text)
        if resumed:
            begun = pending.pop(pid, "")
            if resumed[1] in SYNCS:
                yield resumed[1], begun + resumed[2]
            continue
        yield text.split("(")[0], text


def check(trace, home):
    unsynced, counts, faults = {}, {"write": 0, "sync": 0, "rename": 0, "start": 0}, []
    renamed = {}
    for name, text in calls(trace):
        opened = re.search(r"\(\d+<([^>]*)>", text)
        path = opened[1] if opened else None
        if path and path.endswith("-shm"):
            # An index of the log, which is made again from it.
            continue
        if name in WRITES and path and path.startswith(home):
            counts["write"] += 1
            unsynced[path] = text
        elif name in SYNCS and path and path.startswith(home):
            counts["sync"] += 1
            if "EIO" not in text:
                unsynced.pop(path, None)
                renamed.pop(path, None)
        elif name.startswith("rename"):
            names = re.findall(r'"([^"]*)"', text)
            if len(names) < 2 or not names[0].startswith(home):
                continue
            counts["rename"] += 1
            loose = [file for file in unsynced if file.startswith(names[0])]
            for file in loose:
                faults.append(f"renamed before it was synced: {file}")
            renamed[str(pathlib.Path(names[1]).parent)] = names[1]
        elif name == "execve" and "marker-" in text and text.endswith("= 0"):
            counts["start"] += 1
            program = re.search(r"marker-\w+", text)[0]
            for file in unsynced:
                # Before the first task, content.db holds its schema alone, which a start makes.
                is_content = "content.db" in file and program != "marker-first"
                if is_content or "state.db" in file:
                    faults.append(f"unsynced when `{program}` starts: {file}")
        elif name == "write" and re.search(r"\(1<(pipe|/dev)", text):
            for file in unsynced:
                if file.endswith("state.db-wal"):
                    faults.append(f"unsynced when the end is told: {file}")
    for folder, file in renamed.items():
        faults.append(f"its folder was not synced after the rename: {file}")
    return counts, faults


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/trendmill"
    with tempfile.TemporaryDirectory() as home:
        home = str(pathlib.Path(home).resolve())
        (pathlib.Path(home) / "pipelines").mkdir()
        (pathlib.Path(home) / "pipelines/power.toml").write_text(PIPELINE)
        posts = [
            f'{{"id":"p{n:04}","title":"post {n}","subreddit":"pics","author":"a{n % 7}",'
            f'"created_utc":{1700000000 + n * 3600},"score":{n * 37 % 211},"over_18":false}}\n'
            for n in range(80)
        ]
        (pathlib.Path(home) / "posts.ndjson").write_text("".join(posts))
        trace = pathlib.Path(home).parent / (pathlib.Path(home).name + ".strace")
        traced = "execve,write,pwrite64,writev,ftruncate,fsync,fdatasync,rename,renameat,renameat2"
        run = subprocess.run(
            ["strace", "-f", "-y", "-s", "200", "-e", f"trace={traced}", "-o", trace, binary,
             "--home", home, "--json", "run", "power", "--source", f"dump:{home}/posts.ndjson"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"the run failed: {run.stderr}")
        counts, faults = check(trace.read_text(), home)
        trace.unlink()
    print(", ".join(f"{count} {what}s" for what, count in counts.items()))
    if counts["start"] < 3 or counts["rename"] < 2 or counts["sync"] < 20:
        sys.exit("too little was seen to show anything")
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


main()
