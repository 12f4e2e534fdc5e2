#!/usr/bin/env python3
"""How long the API takes to predict one record, asked again and again on one connection.

usage: benches/predict/ask.py MODEL [--url URL] [--image FILE] [--count N] [--explain] [--nearest K]

Asks a daemon that runs (release build). Each request has a title of its own, which no store has, and
with --image the file's bytes, which are encoded anew each time: so a model with encoders encodes, and
one without does not. Prints one JSON object with milliseconds; the first answer, which loads, apart.
"""

import argparse
import base64
import http.client
import json
import pathlib
import time
import urllib.parse

WARM = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--url", default="http://127.0.0.1:7878")
    parser.add_argument("--image", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--nearest", type=int, default=0)
    given = parser.parse_args()
    images = []
    if given.image:
        images = [{"base64": base64.b64encode(given.image.read_bytes()).decode()}]
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(given.url).netloc)
    path = f"/api/v1/models/{urllib.parse.quote(given.model)}/predict"

    def ask(number):
        record = {
            "title": f"My oil painting number {number} of a lighthouse",
            "community": "art",
            "created_at": "2026-01-31T08:00:00Z",
            "images": images,
        }
        wanted = {"records": [record], "explain": given.explain, "nearest": given.nearest}
        body = json.dumps(wanted)
        started = time.perf_counter()
        connection.request("POST", path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        took = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise SystemExit(f"{response.status}: {text.decode()}")
        return took

    first = ask(0)
    for number in range(WARM):
        ask(1 + number)
    took = sorted(ask(1 + WARM + number) for number in range(given.count))
    at = lambda share: round(took[min(len(took) - 1, int(share * len(took)))], 2)
    print(json.dumps({
        "model": given.model,
        "images": len(images),
        "requests": given.count,
        "first_ms": round(first, 1),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    }))


main()
