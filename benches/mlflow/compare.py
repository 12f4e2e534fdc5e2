"""Asks a daemon and `mlflow server` the same and compares the answers.

usage: benches/mlflow/compare.py [TRENDMILL]     (default: target/release/trendmill)
needs: a Python with the whole of mlflow (`pip install mlflow==3.17.2`), which runs this script.

Each step is a call of MLflow's own client. Ids become the order in which they were given, and times
that a server took become "a time"; all else must be equal, but for what WANTED lists with its reason.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"

import mlflow
from mlflow.entities import Experiment, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Steps whose answers differ, and why that is wanted.
PUBLISHED = "versions are published by runs of pipelines, which measure them"
MORE = "more is understood here: lists of texts, and whether there is a metric or an end"
HALF = "half a filter is refused; there, what follows the first condition is passed over"
FAULT = "a mistake of who asks is told as one, not as the server's"
WANTED = {
    "create_registered_model": PUBLISHED,
    "create_model_version": PUBLISHED,
    "create_experiment with a place": "files of runs are kept by the daemon alone, never elsewhere",
    "get_metric_history of no run": "that there is no such run is said",
    "update_run to a wrong status": "what is no status is refused; there it is passed over",
    "search_runs metrics.none IS NULL": MORE,
    'search_runs metrics."a/b c" IS NOT NULL': MORE,
    "search_runs params.p IN ('value_1', 'x')": MORE,
    "search_runs attributes.status IN ('KILLED', 'FAILED')": MORE,
    "search_runs status NOT IN ('KILLED', 'FAILED')": MORE,
    "search_runs end_time IS NULL": MORE,
    "search_runs experiment_id = '1'": MORE,
    "search_runs metrics.m = 1 metrics.m = 2": HALF,
    "search_runs metrics.m = 1 AND": HALF,
    "search_runs by ['metrics.m', 'metrics.m']": FAULT,
    "rename_experiment of a deleted one": FAULT,
}


class Told:
    """What a server answers, step by step, with ids and times made equal."""

    def __init__(self, client):
        self.client = client
        self.names = {}
        self.steps = []

    def step(self, name, call):
        try:
            value = call()
        except MlflowException as error:
            self.steps.append((name, {"refused": error.error_code}))
            return None
        self.steps.append((name, self.plain(value)))
        return value

    def named(self, kind, given):
        """Gives an id of the server the name by which both servers call it here."""
        self.names[str(given)] = f"{kind} {sum(name.startswith(kind) for name in self.names.values())}"
        return given

    def plain(self, value):
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return "NaN" if math.isnan(value) else value
        if isinstance(value, str):
            for given, name in self.names.items():
                if len(given) > 8:
                    value = value.replace(given, name)
            value = self.names.get(value, value)
            return re.sub(r"^mlflow-artifacts:/\w+", "mlflow-artifacts:/EXPERIMENT", value)
        if isinstance(value, dict):
            return {self.plain(key): self.plain(item) for key, item in sorted(value.items())}
        if isinstance(value, (list, tuple)):
            return [self.plain(item) for item in value]
        facts = {
            name: getattr(value, name)
            for name in dir(type(value))
            if isinstance(getattr(type(value), name), property) and not name.startswith("_")
        }
        facts.pop("to_proto", None)
        for name in ("creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp"):
            if facts.get(name) is not None:
                facts[name] = "a time"
        if isinstance(value, Experiment):
            # MLflow fills these from features that are no part of tracking.
            for name in ("workspace", "trace_location", "effective_trace_archival_retention"):
                facts.pop(name, None)
        return {name: self.plain(fact) for name, fact in sorted(facts.items())}


def logging(told):
    """Experiments and runs that a client logs."""
    client, step = told.client, told.step
    step("get the default experiment", lambda: client.get_experiment("0"))
    step("search new", lambda: [e.name for e in client.search_experiments(filter_string="name = 'Default'")])
    made = told.named("experiment", client.create_experiment("daily", tags={"team": "a"}))
    other = told.named("experiment", client.create_experiment("weekly"))
    step("get_experiment", lambda: client.get_experiment(made))
    step("get_experiment_by_name", lambda: client.get_experiment_by_name("weekly"))
    step("get_experiment_by_name of none", lambda: client.get_experiment_by_name("none"))
    step("create_experiment again", lambda: client.create_experiment("daily"))
    step("create_experiment with a place", lambda: client.create_experiment("placed", artifact_location="s3://a/b"))
    step("create_experiment without a name", lambda: client.create_experiment(""))
    step("get_experiment of none", lambda: client.get_experiment("99"))
    client.set_experiment_tag(made, "stage", "try")
    client.delete_experiment_tag(made, "team")
    step("delete_experiment_tag of none", lambda: client.delete_experiment_tag(made, "none"))
    step("tags of an experiment", lambda: client.get_experiment(made))
    for text in (
        "name LIKE 'dai%'",
        "name ILIKE 'DAI%'",
        "name != 'daily' AND name != 'Default' AND name != 'reddit' AND name != 'placed'",
        "tags.stage = 'try'",
        "tags.stage LIKE 't%' AND name = 'daily'",
        "tags.stage IS NULL AND name = 'weekly'",
        "creation_time > 0 AND name = 'weekly'",
        "creation_time < 0",
        "metrics.a > 1",
        "nmae = 'a'",
    ):
        step(
            f"search_experiments {text}",
            lambda: [e.name for e in client.search_experiments(filter_string=text)],
        )
    ours = "name LIKE '%ly'"
    for order in (["name DESC"], ["name"], ["creation_time ASC", "name DESC"], ["last_update_time DESC", "name"], ["x"]):
        step(
            f"search_experiments by {order}",
            lambda: [e.name for e in client.search_experiments(filter_string=ours, order_by=order)],
        )

    def pages():
        first = client.search_experiments(filter_string=ours, max_results=1, order_by=["name"])
        second = client.search_experiments(
            filter_string=ours, max_results=1, order_by=["name"], page_token=first.token
        )
        return [[e.name for e in first], [e.name for e in second], bool(first.token), bool(second.token)]

    step("pages of experiments", pages)

    runs = []
    for number in range(7):
        run = client.create_run(
            made if number % 3 else other,
            start_time=1_795_000_000_000 + number * 3 % 7,
            tags={"kind": "nightly" if number % 2 else "hourly", "mlflow.user": "me"},
            run_name=f"Run_{number}",
        )
        runs.append(told.named("run", run.info.run_id))
        step(f"create_run {number}", lambda: run)
    run = runs[1]
    client.log_param(run, "lr", 0.1)
    client.log_param(run, "lr", "0.1")
    step("log_param that changes", lambda: client.log_param(run, "lr", "0.2"))
    client.log_metric(run, "loss", 0.5, timestamp=1000, step=0)
    client.log_metric(run, "loss", 0.5, timestamp=1000, step=0)
    client.log_metric(run, "loss", 0.75, timestamp=900, step=2)
    client.log_metric(run, "loss", -1.5, timestamp=2000, step=1)
    client.log_metric(run, "at end", float("inf"), timestamp=1, step=0)
    client.log_metric(run, "at end", float("-inf"), timestamp=2, step=-1)
    client.log_metric(run, "no number", float("nan"), timestamp=1, step=0)
    step("get_run", lambda: client.get_run(run))
    step("get_metric_history", lambda: client.get_metric_history(run, "loss"))
    step("get_metric_history of what is infinite", lambda: client.get_metric_history(run, "at end"))
    step("get_metric_history of NaN", lambda: client.get_metric_history(run, "no number"))
    step("get_metric_history of none", lambda: client.get_metric_history(run, "none"))
    step("get_metric_history of no run", lambda: client.get_metric_history("0" * 32, "loss"))
    for number, run_id in enumerate(runs):
        client.log_batch(
            run_id,
            metrics=[Metric("m", number % 3 - 0.5, 5, step) for step in range(3)]
            + [Metric("a/b c", float("nan") if number == 4 else number, 5, 0)] * (number > 2),
            params=[Param("p", f"value_{number % 2}")] + [Param("only", "x")] * (number == 5),
            tags=[RunTag("t.u", f"It's {number}"), RunTag("even", str(number % 2 == 0))],
        )
    many = [Metric("long", value, value, value) for value in range(1000)]
    client.log_batch(run, metrics=many)
    step("a long history", lambda: client.get_metric_history(run, "long"))
    step("log_batch of too many metrics", lambda: raw(told, "runs/log-batch", run, metrics=[
        {"key": "n", "value": 1, "timestamp": 1, "step": step} for step in range(1001)]))
    step("log_batch of too many params", lambda: raw(told, "runs/log-batch", run, params=[
        {"key": f"n{at}", "value": "1"} for at in range(101)]))
    step("log_batch of too many tags", lambda: raw(told, "runs/log-batch", run, tags=[
        {"key": f"n{at}", "value": "1"} for at in range(101)]))
    step("log_batch with a param twice", lambda: raw(told, "runs/log-batch", run, params=[
        {"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}]))
    step("log_batch that changes a param", lambda: raw(told, "runs/log-batch", run, params=[
        {"key": "lr", "value": "7"}]))
    for key in ("k" * 250, "k" * 251, "../k", "a//b", "/a", "a,b", "größe", "a b:c"):
        step(f"log-metric {key[:9]}", lambda: raw(told, "runs/log-metric", run, key=key, value=1, timestamp=1))
        step(f"log-parameter {key[:9]}", lambda: raw(told, "runs/log-parameter", run, key=key, value="v"))
        step(f"set-tag {key[:9]}", lambda: raw(told, "runs/set-tag", run, key=key, value="v"))
    step("log-metric without a value", lambda: raw(told, "runs/log-metric", run, key="m", timestamp=1))
    step("log-metric of a text", lambda: raw(told, "runs/log-metric", run, key="m", value="x", timestamp=1))
    step("log-metric without a time", lambda: raw(told, "runs/log-metric", run, key="m", value=1))
    step("log-metric before 1970", lambda: raw(told, "runs/log-metric", run, key="m", value=1, timestamp=-1))
    client.log_param(run, "long", "ü" * 7000)
    client.set_tag(run, "long", "ü" * 9000)
    client.set_tag(run, "mlflow.note.content", "a note")
    client.set_tag(run, "gone", "soon")
    client.delete_tag(run, "gone")
    step("delete_tag of none", lambda: client.delete_tag(run, "none"))
    step("delete_tag of no run", lambda: client.delete_tag("0" * 32, "none"))
    step("set_tag of no run", lambda: client.set_tag("0" * 32, "a", "b"))
    step("what is too long", lambda: client.get_run(run))
    client.set_terminated(run, "FAILED", end_time=1_795_000_100_000)
    client.set_terminated(runs[2], end_time=1_795_000_200_000)
    client.update_run(runs[3], status="KILLED", name="renamed")
    client.set_tag(runs[4], "mlflow.runName", "tagged")
    for number in range(1, 5):
        step(f"run {number} at its end", lambda: client.get_run(runs[number]))
    step("update_run to a wrong status", lambda: raw(told, "runs/update", run, status="DONE"))
    step("update_run of none", lambda: client.update_run("0" * 32, name="x"))
    step("get_run of none", lambda: client.get_run("0" * 32))
    step("create_run in none", lambda: client.create_run("99"))
    step(
        "create_run of two names",
        lambda: client.create_run(made, run_name="a", tags={"mlflow.runName": "b"}),
    )
    named = client.create_run(made, start_time=5, tags={"mlflow.runName": "by tag"})
    told.named("run", named.info.run_id)
    step("create_run named by a tag", lambda: named)

    both = [made, other]
    for text in FILTERS:
        step(
            f"search_runs {text}",
            lambda: [told.names[r.info.run_id] for r in client.search_runs(both, text)],
        )
    for order in ORDERS:
        step(
            f"search_runs by {order}",
            lambda: [told.names[r.info.run_id] for r in client.search_runs(both, order_by=order)],
        )
    step("search_runs whole", lambda: client.search_runs([made], "metrics.m > 0", order_by=["params.p"]))
    step("search_runs in none", lambda: client.search_runs(["99"]))
    step("search_runs nowhere", lambda: client.search_runs([]))

    def run_pages():
        token, pages = None, []
        while True:
            page = client.search_runs(both, "", max_results=3, order_by=["metrics.m DESC"], page_token=token)
            pages.append([told.names[r.info.run_id] for r in page])
            token = page.token
            if not token:
                return pages

    step("pages of runs", run_pages)
    step("search_runs of too many", lambda: client.search_runs(both, max_results=50_001))
    step("search_runs of less than none", lambda: raw(told, "runs/search", None, experiment_ids=both, max_results=-1))
    step("a page that is none", lambda: client.search_runs(both, page_token="x y"))

    client.delete_run(runs[6])
    step("a deleted run", lambda: client.get_run(runs[6]))
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        step(
            f"search_runs of view {view}",
            lambda: [told.names[r.info.run_id] for r in client.search_runs(both, "", view)],
        )
    step("log_metric in a deleted run", lambda: client.log_metric(runs[6], "m", 1))
    step("log_param in a deleted run", lambda: client.log_param(runs[6], "q", 1))
    step("set_tag in a deleted run", lambda: client.set_tag(runs[6], "q", 1))
    step("update_run of a deleted run", lambda: client.update_run(runs[6], name="x"))
    step("delete_run again", lambda: client.delete_run(runs[6]))
    client.restore_run(runs[6])
    step("a restored run", lambda: client.get_run(runs[6]))
    step("delete_run of none", lambda: client.delete_run("0" * 32))
    step("restore_run of none", lambda: client.restore_run("0" * 32))

    client.rename_experiment(other, "monthly")
    step("a renamed experiment", lambda: client.get_experiment(other))
    step("rename_experiment of none", lambda: client.rename_experiment("99", "x"))
    client.delete_experiment(other)
    step("a deleted experiment", lambda: client.get_experiment(other))
    step("a run of a deleted experiment", lambda: client.get_run(runs[0]))
    step("create_run in a deleted experiment", lambda: client.create_run(other))
    step("create_experiment named as a deleted one", lambda: client.create_experiment("monthly"))
    step("delete_experiment again", lambda: client.delete_experiment(other))
    step("rename_experiment of a deleted one", lambda: client.rename_experiment(other, "x"))
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        text = "name LIKE '%ly'"
        step(
            f"search_experiments of view {view}",
            lambda: [e.name for e in client.search_experiments(view, filter_string=text)],
        )
    client.restore_experiment(other)
    step("a restored experiment", lambda: client.get_experiment(other))
    step("a run of a restored experiment", lambda: client.get_run(runs[0]))
    step("restore_experiment again", lambda: client.restore_experiment(other))
    step("list_artifacts of a run without", lambda: client.list_artifacts(run))
    step("the fluent way", lambda: fluent(told))


def fluent(told):
    """As people log by hand."""
    mlflow.set_experiment("by hand")
    with mlflow.start_run(run_name="outer") as outer:
        mlflow.log_params({"a": 1, "b": "two"})
        mlflow.log_metrics({"x": 1.5, "y": 2}, step=3)
        mlflow.set_tags({"c": "d"})
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_metric("x", 9)
    told.named("run", outer.info.run_id)
    told.named("run", inner.info.run_id)
    found = mlflow.search_runs(
        experiment_names=["by hand"], filter_string="metrics.x > 1", order_by=["metrics.x DESC"],
        output_format="list",
    )
    facts = []
    for run in found:
        tags = dict(run.data.tags)
        for key in [key for key in tags if key.startswith("mlflow.source")]:
            tags.pop(key)
        facts.append([run.info.run_name, run.info.status, run.data.params, run.data.metrics, tags])
    return facts


def registry(told):
    """A model with two versions, of which both servers have one."""
    client, step = told.client, told.step
    step("create_registered_model", lambda: client.create_registered_model("mine"))
    step("create_model_version", lambda: client.create_model_version("mine", "models:/m", None))
    step("search_registered_models", lambda: [model(m) for m in client.search_registered_models("name = 'reddit'")])
    step("search_registered_models of none", lambda: client.search_registered_models("name = 'none'"))
    step("get_registered_model", lambda: model(client.get_registered_model("reddit")))
    step("get_registered_model of none", lambda: client.get_registered_model("none"))
    for text in ("name = 'reddit'", "name LIKE 'red%'", "name = 'none'", "name = 'reddit' AND run_id = 'none'"):
        for order in ([], ["version_number DESC"], ["version_number ASC"], ["creation_timestamp ASC"]):
            step(
                f"search_model_versions {text} {order}",
                lambda: [version(v) for v in client.search_model_versions(text, order_by=order)],
            )
    step("get_model_version", lambda: version(client.get_model_version("reddit", "2")))
    step("get_model_version of none", lambda: client.get_model_version("reddit", "9"))
    step("get_model_version of a word", lambda: client.get_model_version("reddit", "x"))
    step("by alias", lambda: version(client.get_model_version_by_alias("reddit", "champion")))
    step("by no alias", lambda: client.get_model_version_by_alias("reddit", "none"))
    client.set_registered_model_alias("reddit", "staging", "1")
    step("with an alias", lambda: model(client.get_registered_model("reddit")))
    step("by a new alias", lambda: version(client.get_model_version_by_alias("reddit", "staging")))
    client.set_registered_model_alias("reddit", "staging", "2")
    step("by a moved alias", lambda: version(client.get_model_version_by_alias("reddit", "staging")))
    client.delete_registered_model_alias("reddit", "staging")
    client.delete_registered_model_alias("reddit", "staging")
    step("without the alias", lambda: model(client.get_registered_model("reddit")))
    for alias in ("latest", "v7", "V7", "a b", "", "x" * 256, "Latest"):
        body = {"name": "reddit", "alias": alias, "version": "1"}
        step(f"set_registered_model_alias {alias[:9]}", lambda: raw(told, "registered-models/alias", None, **body))
    step("an alias of no version", lambda: client.set_registered_model_alias("reddit", "a", "9"))
    step("an alias of no model", lambda: client.set_registered_model_alias("none", "a", "1"))
    step("get_latest_versions", lambda: [version(v) for v in client.get_latest_versions("reddit", ["None"])])
    step("get_latest_versions of a stage", lambda: client.get_latest_versions("reddit", ["Production"]))
    client.set_model_version_tag("reddit", "1", "owner", "team")
    client.update_model_version("reddit", "1", "what we use")
    step("a tagged version", lambda: version(client.get_model_version("reddit", "1")))
    step("search_model_versions by tag", lambda: [
        version(v) for v in client.search_model_versions("tags.owner = 'team'")])
    client.delete_model_version_tag("reddit", "1", "owner")
    client.update_model_version("reddit", "1", "")
    step("an untagged version", lambda: version(client.get_model_version("reddit", "1")))
    step("a tag of no version", lambda: client.set_model_version_tag("reddit", "9", "a", "b"))


def model(found):
    """What both servers know of a model."""
    return [found.name, {k: str(v) for k, v in found.aliases.items()}, [version(v) for v in found.latest_versions]]


def version(found):
    """What both servers know of a version: not its run, its source and what the gate noted."""
    return [
        found.name, str(found.version), found.status, found.current_stage, sorted(found.aliases),
        found.tags, found.description or "",
    ]


FILTERS = [
    "", "metrics.m > 0", "metrics.m >= 0.5 AND metrics.m < 1", "metrics.m = -0.5", "metrics.m != 0.5",
    "metrics.none > 0", "metrics.none != 0", "metrics.none IS NULL", "metrics.`a/b c` > 3",
    "metrics.`a/b c` != 3", "metrics.`a/b c` <= 6", 'metrics."a/b c" IS NOT NULL', "metric.loss < 1",
    "params.p = 'value_1'", "params.p != 'value_1'", "params.p LIKE 'value_%'", "params.p LIKE 'VALUE%'",
    "params.p ILIKE 'VALUE__'", "params.only IS NULL", "params.only IS NOT NULL", "parameter.only = 'x'",
    "params.p IN ('value_1', 'x')",
    "tags.kind = 'nightly'", "tags.kind != 'nightly' AND tags.even = 'True'", "tags.`t.u` = \"It's 3\"",
    "tags.t.u LIKE \"It's%\"", "tags.none IS NULL AND tags.kind = 'hourly'", "tag.`mlflow.runName` = 'Run_5'",
    "attributes.run_name = 'Run_5'", "run_name LIKE 'Run%'", "run_name ILIKE 'run__'", "run_name = 'tagged'",
    "`run name` = 'renamed'", "status = 'RUNNING'", "attributes.status != 'RUNNING'",
    "attributes.status IN ('KILLED', 'FAILED')", "status NOT IN ('KILLED', 'FAILED')",
    "start_time > 1795000000003", "start_time = 5", "attr.start_time <= 1795000000000 AND metrics.m > 0",
    "end_time > 0", "attributes.end_time = 1795000100000", "end_time IS NULL", "created > 5", "user_id = 'none'",
    "run_id IN ('x')", "attributes.artifact_uri LIKE 'mlflow-artifacts:%'", "artifact_uri = 'x'",
    "metrics.m > 0 and tags.kind = 'nightly' AND params.p = 'value_1'",
    # What is refused.
    "metrix.a = 1", "nmae = 'a'", "metrics.m = 'a'", "params.p = 1", "tags.kind = 1", "params.p > 'a'",
    "tags.kind < 'a'", "metrics.m LIKE 'a'", "status > 'A'", "start_time = 'x'", "start_time LIKE 'x'",
    "metrics.m > 0 OR metrics.m < 0", "metrics.m >", "params.p", "metrics.m = 1 metrics.m = 2",
    "params.p = 'a", "lifecycle_stage = 'active'", "experiment_id = '1'", "run_id LIKE '%'", "metrics.m IN (1)",
    "params.p = x", "metrics.m = 1 AND", "(metrics.m = 1)", "NOT metrics.m = 1", "start_time = 5.5",
]

ORDERS = [
    ["metrics.m ASC"], ["metrics.m DESC", "run_name"], ["metrics.`a/b c` DESC"], ["metrics.`a/b c` ASC"],
    ["metrics.none", "params.p DESC"], ["params.p ASC", "metrics.m"], ["params.only DESC"], ["tags.kind"],
    ["tag.`t.u` DESC"], ["start_time"], ["start_time DESC", "attributes.run_name DESC"],
    ["attributes.start_time ASC", "run_id"], ["end_time DESC"], ["end_time ASC"], ["status", "run_name"],
    ["Created"], ["created desc"], ["run_name asc"],
    # What is refused.
    ["x"], ["metrix.a"], ["metrics.m UP"], ["metrics.m", "metrics.m"], ["metrics.m ASC, params.p"], [""],
]


def raw(told, path, run, **body):
    """A request that the client would not make. Gives nothing, or raises as the client does."""
    if run is not None:
        body["run_id"] = run
    request = urllib.request.Request(
        f"{mlflow.get_tracking_uri()}/api/2.0/mlflow/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
            return None
    except urllib.error.HTTPError as error:
        from mlflow.protos.databricks_pb2 import ErrorCode

        code = json.loads(error.read())["error_code"]
        raise MlflowException("refused", ErrorCode.Value(code)) from None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def theirs(folder):
    """`mlflow server` with SQLite, and a model as in the daemon's home."""
    port = free_port()
    with open(folder / "theirs.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
             "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
             "--artifacts-destination", str(folder / "artifacts")],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/health").read()
                break
            assert server.poll() is None, (folder / "theirs.log").read_text()
            time.sleep(0.2)
        client = MlflowClient(url, url)
        run = client.create_run("0")
        client.create_registered_model("reddit")
        for _ in range(2):
            client.create_model_version("reddit", f"{run.info.artifact_uri}/m", run.info.run_id)
        client.set_registered_model_alias("reddit", "champion", "2")
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait()


@contextlib.contextmanager
def ours(folder, program):
    """The daemon in a home with two versions of a model."""
    home = folder / "home"
    with zipfile.ZipFile(ROOT / "tests/fixtures/homes/0.1.0.zip") as packed:
        packed.extractall(home)
    log = folder / "ours.log"
    with open(log, "w") as out:
        daemon = subprocess.Popen(
            [program, "--home", home, "up", "--listen", "127.0.0.1:0"], stdout=out, stderr=out
        )
    try:
        while not re.search(r"ready$", log.read_text(), re.M):
            assert daemon.poll() is None, log.read_text()
            time.sleep(0.05)
        yield re.search(r"http://127[^, \n]*", log.read_text())[0]
    finally:
        daemon.terminate()
        daemon.wait()


def asked(url):
    mlflow.set_tracking_uri(url)
    told = Told(MlflowClient(url, url))
    logging(told)
    registry(told)
    return told.steps


def main():
    program = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/trendmill")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        os.chdir(folder)
        with theirs(folder) as url:
            expected = asked(url)
        with ours(folder, program) as url:
            answers = asked(url)
    assert [name for name, _ in expected] == [name for name, _ in answers]
    differing = 0
    for (name, wanted), (_, got) in zip(expected, answers):
        if wanted == got:
            assert name not in WANTED, f"{name} does not differ any more: take it off the list"
        elif name in WANTED:
            print(f"wanted: {name}: {WANTED[name]}")
        else:
            differing += 1
            print(f"DIFFERS: {name}\n  mlflow server: {wanted}\n  trendmill:     {got}")
    equal = len(expected) - differing - len(WANTED)
    print(f"{len(expected)} steps: {equal} equal, {len(WANTED)} differ as wanted, {differing} differ")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
