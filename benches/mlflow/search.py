"""Fills a home with runs through MLflow's client and times its searches.

usage: benches/mlflow/search.py [TRENDMILL [RUNS]]   (default: target/release/trendmill, 30000)
needs: a Python with mlflow or mlflow-skinny, which runs this script.

Every run has 5 metrics, 5 parameters and 3 tags. Each search is timed ten times in the client, from the
call to the list of its entities, and beside it the request alone (the daemon's answer as bytes).
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile

import mlflow
from mlflow.tracking import MlflowClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEARCHES = [
    ("a metric filter, by a metric", "metrics.loss < 0.5", ["metrics.loss DESC"], 1000),
    ("a metric filter, by a metric, 100 runs", "metrics.loss < 0.5", ["metrics.loss DESC"], 100),
    ("the newest", "", [], 1000),
    ("a parameter and a tag, by two metrics", "params.seed = '7' AND tags.kind LIKE 'n%'",
     ["metrics.auc ASC", "metrics.loss DESC"], 1000),
    ("one run by its name", "run_name = 'run-17'", ["start_time ASC"], 1000),
    ("nothing", "metrics.loss > 2", ["metrics.loss"], 1000),
]


def post(connection, path, body):
    connection.request("POST", f"/api/2.0/mlflow/{path}", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return text


def fill(address, experiment, numbers):
    connection = http.client.HTTPConnection(address)
    for number in numbers:
        made = post(connection, "runs/create", {
            "experiment_id": experiment, "user_id": "bench", "run_name": f"run-{number}",
            "start_time": 1_700_000_000_000 + number,
        })
        value = (number * 7919 % 10_007) / 10_007
        post(connection, "runs/log-batch", {
            "run_id": json.loads(made)["run"]["info"]["run_id"],
            "metrics": [{"key": key, "value": value * scale, "timestamp": 1, "step": 0}
                        for scale, key in enumerate(["zero", "loss", "auc", "rmse", "mae"])],
            "params": [{"key": key, "value": str(number % 10)} for key in ["seed", "lr", "depth", "head", "rows"]],
            "tags": [{"key": "kind", "value": "nightly" if number % 2 else "hourly"},
                     {"key": "team", "value": "a"}, {"key": "host", "value": f"h{number % 50}"}],
        })


def timed(call):
    times = []
    for _ in range(10):
        began = time.perf_counter()
        found = call()
        times.append(1000 * (time.perf_counter() - began))
    return found, times


def main():
    program = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/trendmill")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 30_000
    with tempfile.TemporaryDirectory() as home:
        with zipfile.ZipFile(ROOT / "tests/fixtures/homes/0.1.0.zip") as packed:
            packed.extractall(home)
        log = pathlib.Path(home, "daemon.log")
        with open(log, "w") as out:
            daemon = subprocess.Popen(
                [program, "--home", home, "up", "--listen", "127.0.0.1:0"], stdout=out, stderr=out
            )
        try:
            while not re.search(r"ready$", log.read_text(), re.M):
                assert daemon.poll() is None, log.read_text()
                time.sleep(0.05)
            url = re.search(r"http://127[^, \n]*", log.read_text())[0]
            measure(url, urllib.parse.urlparse(url).netloc, count)
        finally:
            daemon.terminate()
            daemon.wait()


def measure(url, address, count):
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    experiment = client.create_experiment("bench")
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: fill(address, experiment, range(part, count, 4)), range(4)))
    took = time.perf_counter() - began
    print(f"{count} runs logged in {took:.0f} s: {count / took:.0f} runs a second, two requests each")
    connection = http.client.HTTPConnection(address)
    for name, experiments in [("logged runs", [experiment]), ("with the model's", [experiment, "reddit"])]:
        for what, text, order, limit in SEARCHES:
            body = {"experiment_ids": experiments, "filter": text, "order_by": order, "max_results": limit}
            found, whole = timed(lambda: client.search_runs(experiments, text, order_by=order, max_results=limit))
            _, alone = timed(lambda: post(connection, "runs/search", body))
            print(f"{name}, {what}: {len(found)} runs in {statistics.median(whole):.0f} ms (slowest "
                  f"{max(whole):.0f}); the request alone {statistics.median(alone):.0f} ms")
    deep = {"experiment_ids": [experiment, "reddit"], "filter": "metrics.loss >= 0", "max_results": 1000,
            "order_by": ["metrics.loss"], "page_token": str(count - 1000)}
    _, alone = timed(lambda: post(connection, "runs/search", deep))
    print(f"with the model's, the last page: the request alone {statistics.median(alone):.0f} ms")


if __name__ == "__main__":
    main()
