"""Reading a dump with a community filter beside zstd's command and a Python reader, in the same run.

    cargo build --release
    python benches/dumps/compare.py --trendmill target/release/trendmill --posts posts.ndjson.zst

Makes a file of 1 GB of decoded NDJSON of `--posts`, repeated frame by frame, and one of the same text
in a single frame, as the public dumps are. All sides read each of them, ours and zstd `--rounds`
times in turn; the fastest round counts. Prints decoded bytes per second, what of zstd's speed that
is, seconds of processors, and the peak of resident memory. The Python side reads as PushshiftDumps
does: package `zstandard` with a window of 2^31, lines, `json.loads`. Needs zstandard.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--trendmill", help="the built program")
parser.add_argument("--posts", help="a dump to repeat")
parser.add_argument("--community", default="pics")
parser.add_argument("--bytes", type=int, default=10**9, help="decoded length")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--read", help="be the Python side, for this file")
arguments = parser.parse_args()


def read(path, community):
    """How many posts a Python reader finds, and how many lines."""
    import zstandard

    found = lines = 0
    with open(path, "rb") as file:
        decoder = zstandard.ZstdDecompressor(max_window_size=2**31)
        reader = decoder.stream_reader(file, read_across_frames=True)
        carried = b""
        while chunk := reader.read(2**27):
            chunk = carried + chunk
            # A letter of several bytes may be cut in two, so only whole lines are decoded.
            end = chunk.rfind(b"\n") + 1
            carried = chunk[end:]
            for line in chunk[:end].decode().split("\n")[:-1]:
                lines += 1
                found += (json.loads(line).get("subreddit") or "").lower() == community
    return found, lines


if arguments.read:
    print(json.dumps(read(arguments.read, arguments.community)))
    sys.exit()


def timed(words):
    """Seconds, those of its processors, peak memory in MB and output of a program."""
    begun = time.perf_counter()
    program = subprocess.Popen(words, stdout=subprocess.PIPE)
    output = program.stdout.read()
    _, status, usage = os.wait4(program.pid, 0)
    if status != 0:
        sys.exit(f"{words} ended with {status}")
    seconds = time.perf_counter() - begun
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


with tempfile.TemporaryDirectory() as folder:
    packed = pathlib.Path(arguments.posts).read_bytes()
    decoded = len(subprocess.run(["zstd", "-dc", "--long=31", arguments.posts], check=True, stdout=subprocess.PIPE).stdout)
    times = -(-arguments.bytes // decoded)
    many, one = pathlib.Path(folder, "frames.zst"), pathlib.Path(folder, "one.zst")
    with many.open("wb") as file:
        for _ in range(times):
            file.write(packed)
    # A window shorter than the posts, or each repetition would be one long match, as in no dump.
    command = f"zstd -dc --long=31 {many} | zstd -q -3 --zstd=wlog=24 -o {one}"
    subprocess.run(["sh", "-c", command], check=True)
    here = os.path.abspath(__file__)
    for path in (many, one):
        sides = {
            "zstd": ["sh", "-c", f"exec zstd -dc --long=31 {path} > /dev/null"],
            "trendmill": [arguments.trendmill, "--home", folder, "--json", "records", "scan", "--source", f"dump:{path}",
                          "--param", f"subreddits={arguments.community}"],
            "python": [sys.executable, here, "--read", str(path), "--community", arguments.community],
        }
        runs = {side: [] for side in sides}
        for turn in range(arguments.rounds):
            for side, words in sides.items():
                # It takes so long that nothing disturbs it for all of it.
                if side != "python" or turn == 0:
                    runs[side].append(timed(words))
        best = {side: min(tries, key=lambda run: run[0]) for side, tries in runs.items()}
        speed = {side: decoded * times / best[side][0] / 1e6 for side in sides}
        pairs = [zstd[0] / ours[0] for zstd, ours in zip(runs["zstd"], runs["trendmill"])]
        scanned = json.loads(best["trendmill"][3])
        print(json.dumps({
            "file": path.name,
            "decoded_bytes": decoded * times,
            "mb_per_s": {side: int(mb) for side, mb in speed.items()},
            "of_zstd": float(f"{speed['trendmill'] / speed['zstd']:.3f}"),
            # Of the runs that stood beside each other, the one in the middle.
            "of_zstd_median": float(f"{statistics.median(pairs):.3f}"),
            "times_python": float(f"{speed['trendmill'] / speed['python']:.2f}"),
            "processor_seconds": {side: float(f"{min(run[1] for run in runs[side]):.2f}") for side in sides},
            "peak_mb": {side: int(best[side][2]) for side in sides},
            "lines": scanned["lines"],
            "dropped": scanned["dropped"],
            "kept": scanned["kept"],
            "found_by_python": json.loads(best["python"][3])[0],
        }, indent=2))
