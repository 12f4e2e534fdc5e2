"""Asks a daemon as people do with MLflow's own client. usage: speaks_mlflow.py URL"""

import os
import sys
import tempfile

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import HTTPError


def refused(call, code):
    """The words with which a call is refused, which must carry this code."""
    try:
        call()
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        return str(error)
    raise AssertionError(f"{code} was expected")


mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()

# Experiments: one for each model.
(experiment,) = client.search_experiments(filter_string="name != 'Default'")
assert experiment.name == "reddit", experiment
assert client.get_experiment(experiment.experiment_id).name == "reddit"
assert client.get_experiment_by_name("reddit").experiment_id == experiment.experiment_id
assert client.get_experiment_by_name("none") is None
assert client.search_experiments(filter_string="name LIKE 'red%'")
assert not client.search_experiments(filter_string="name = 'other'")
ids = [experiment.experiment_id]

# Runs: one for each version, with what it measured.
(run,) = client.search_runs(ids)
assert run.info.status == "FINISHED"
assert run.data.params["target"] and run.data.params["dataset"].startswith("sandbox")
assert run.data.tags["trendmill.version"] == "1"
metrics = run.data.metrics
assert metrics["spearman.low"] <= metrics["spearman"] <= metrics["spearman.high"], metrics
assert client.get_run(run.info.run_id).data.to_dictionary() == run.data.to_dictionary()
for good in (
    "metrics.spearman > -1 AND params.dataset LIKE 'sandbox%'",
    "attributes.run_name = 'reddit/1' and status IN ('FINISHED', 'FAILED')",
    "tags.`trendmill.version` = '1' AND start_time > 0",
    "params.dataset ILIKE 'SANDBOX%' AND metrics.`spearman.low` <= 1",
):
    assert len(client.search_runs(ids, good, order_by=["metrics.spearman DESC"])) == 1, good
for bad in ("metrics.spearman > 1", "status NOT IN ('FINISHED')", "params.none = 'x'"):
    assert not client.search_runs(ids, bad), bad
refused(lambda: client.search_runs(ids, "metrix.a = 1"), "INVALID_PARAMETER_VALUE")
(point,) = client.get_metric_history(run.info.run_id, "spearman")
assert point.value == metrics["spearman"] and point.step == 1
refused(lambda: client.get_run("none"), "RESOURCE_DOES_NOT_EXIST")

# Models and versions.
(model,) = client.search_registered_models()
assert model.name == "reddit" and model.aliases == {"champion": "1"}, model
assert client.search_registered_models("name ILIKE 'RED%'", order_by=["name ASC"])
assert not client.search_registered_models("name = 'none'")
assert client.get_registered_model("reddit").latest_versions[0].version in (1, "1")
(version,) = client.search_model_versions("name = 'reddit'")
assert version.run_id == run.info.run_id and version.status == "READY"
assert client.search_model_versions(f"run_id = '{version.run_id}'", order_by=["version_number DESC"])
assert client.get_model_version("reddit", "1").aliases == ["champion"]
assert client.get_model_version_by_alias("reddit", "champion").run_id == version.run_id
assert client.get_latest_versions("reddit", ["None"])[0].run_id == version.run_id
assert not client.get_latest_versions("reddit", ["Production"])
assert client.get_model_version_download_uri("reddit", "1") == version.source
refused(lambda: client.get_registered_model("none"), "RESOURCE_DOES_NOT_EXIST")
refused(lambda: client.get_model_version("reddit", "9"), "RESOURCE_DOES_NOT_EXIST")
refused(lambda: client.get_model_version_by_alias("reddit", "none"), "INVALID_PARAMETER_VALUE")

# Artifacts: the folder of the version.
files = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
assert {"manifest.json", "MODEL_CARD.md", "model.safetensors"} <= set(files), files
with tempfile.TemporaryDirectory() as folder:
    path = client.download_artifacts(run.info.run_id, "model.safetensors", folder)
    assert os.path.getsize(path) == files["model.safetensors"]
    everything = client.download_artifacts(run.info.run_id, "", folder)
    assert set(files) <= set(os.listdir(everything)), os.listdir(everything)

# What people may write: tags, descriptions, aliases.
client.set_model_version_tag("reddit", "1", "owner", "team")
client.set_tag(run.info.run_id, "reviewed", "yes")
client.update_model_version("reddit", "1", "what we use")
version = client.get_model_version("reddit", "1")
assert version.tags == {"owner": "team", "reviewed": "yes"}, version.tags
assert version.description == "what we use"
assert client.search_model_versions("tags.owner = 'team'")
assert client.get_run(run.info.run_id).data.tags["owner"] == "team"
client.delete_model_version_tag("reddit", "1", "owner")
client.delete_tag(run.info.run_id, "reviewed")
assert client.get_model_version("reddit", "1").tags == {}
client.set_registered_model_alias("reddit", "staging", "1")
assert client.get_model_version_by_alias("reddit", "staging").run_id == run.info.run_id
client.delete_registered_model_alias("reddit", "staging")
client.set_registered_model_alias("reddit", "champion", "1")
assert client.get_registered_model("reddit").aliases == {"champion": "1"}

# What trendmill recorded stays as it is.
told = refused(lambda: client.log_metric(run.info.run_id, "spearman", 1.0), "PERMISSION_DENIED")
assert "recorded" in told, told
refused(lambda: client.set_terminated(run.info.run_id), "PERMISSION_DENIED")
refused(lambda: client.delete_run(run.info.run_id), "PERMISSION_DENIED")
refused(lambda: client.delete_experiment(ids[0]), "PERMISSION_DENIED")
refused(lambda: client.set_tag(run.info.run_id, "trendmill.version", "2"), "PERMISSION_DENIED")
refused(lambda: client.delete_registered_model("reddit"), "PERMISSION_DENIED")

told = refused(lambda: client.create_run(ids[0]), "PERMISSION_DENIED")
assert "recorded" in told, told
told = refused(lambda: client.create_registered_model("mine"), "PERMISSION_DENIED")
assert "trendmill run" in told, told

# Runs of others stand beside them.
mlflow.set_experiment("by hand")
with mlflow.start_run(run_name="try") as logged:
    mlflow.log_params({"lr": 0.1})
    for step in range(3):
        mlflow.log_metric("spearman", step / 10 - 5, step=step)
both = [logged.info.experiment_id, *ids]
found = client.search_runs(both, "metrics.spearman > -9", order_by=["metrics.spearman DESC"])
assert [one.info.run_id for one in found] == [run.info.run_id, logged.info.run_id], found
(first,) = client.search_runs(both, order_by=["metrics.spearman ASC"], max_results=1)
assert first.info.run_name == "try" and first.info.status == "FINISHED", first
assert [point.step for point in client.get_metric_history(logged.info.run_id, "spearman")] == [0, 1, 2]

# Files of its own: one, a folder of them, texts and dictionaries.
client.log_text(logged.info.run_id, "so far so good", "note.txt")
client.log_dict(logged.info.run_id, {"lr": 0.1}, "settings/lr.json")
with tempfile.TemporaryDirectory() as folder:
    for name in ["a b.bin", "ä.bin"]:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(os.urandom(3_000_000))
    client.log_artifacts(logged.info.run_id, folder, "weights")
    # It sends large files in parts, where it is told to and the server can; else whole.
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
    os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = "1000000"
    client.log_artifact(logged.info.run_id, os.path.join(folder, "ä.bin"))
    with tempfile.TemporaryDirectory() as again:
        for name in ["weights/a b.bin", "weights/ä.bin", "ä.bin"]:
            path = client.download_artifacts(logged.info.run_id, name, again)
            with open(path, "rb") as found, open(os.path.join(folder, os.path.basename(name)), "rb") as sent:
                assert found.read() == sent.read(), name
names = {file.path: file.is_dir for file in client.list_artifacts(logged.info.run_id)}
assert names == {"note.txt": False, "settings": True, "weights": True, "ä.bin": False}, names
assert mlflow.artifacts.load_dict(f"runs:/{logged.info.run_id}/settings/lr.json") == {"lr": 0.1}
try:
    client.log_text(run.info.run_id, "no", "manifest.json")
    raise AssertionError("a version's file was replaced")
except HTTPError as error:
    assert error.response.json()["error_code"] == "PERMISSION_DENIED", error
refused(lambda: client.log_param(logged.info.run_id, "lr", "0.2"), "INVALID_PARAMETER_VALUE")
client.delete_run(logged.info.run_id)
assert len(client.search_runs(both)) == 1

print(f"mlflow {mlflow.__version__} reads models, runs and files, logs runs, and writes tags and aliases")
