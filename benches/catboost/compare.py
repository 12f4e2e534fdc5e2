"""The published model beside CatBoost, on the same rows, features and split.

    trendmill run reddit --source sandbox
    python benches/catboost/compare.py --home . --model reddit --minutes 10

Reads the matrix of the version's run and the version's filed predictions. CatBoost learns the
training rows and is searched at random for `--minutes`: depth, learning rate, regularisation, share
of columns, and whether vectors come whole or as principal components; each try stops by the
validation rows. The best one is fitted again on training and validation rows and predicts the tested
ones. Prints Spearman's correlation pooled and within communities for both, and the difference (ours
minus CatBoost) with its paired 95 % interval over whole days (over 6 hours where there are fewer
than ten days). Needs catboost, numpy, scipy and scikit-learn.
"""

import argparse
import json
import pathlib
import random
import struct
import time

import numpy
from catboost import CatBoostRegressor, Pool
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--home", default=".")
parser.add_argument("--model", default="reddit", help="NAME or NAME/VERSION")
parser.add_argument("--minutes", type=float, default=10.0)
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--resamples", type=int, default=2000)
arguments = parser.parse_args()

# The least rows of a community that has a correlation of its own, as in `spearman_within`.
LEAST_WITHIN = 10


def read_matrix(path):
    """Rows, blocks by name and categories by name of a feature matrix."""
    bytes_ = path.read_bytes()
    (size,) = struct.unpack_from("<Q", bytes_)
    header = json.loads(bytes_[8 : 8 + size])
    head = json.loads(header["__metadata__"]["trendmill"])
    blocks = {}
    for block in head["blocks"]:
        def tensor(what, kind):
            start, end = header[f"{what}.{block['name']}"]["data_offsets"]
            return numpy.frombuffer(bytes_[8 + size + start : 8 + size + end], kind)

        values = tensor("block", "<f4").reshape(len(head["rows"]), block["width"])
        present = tensor("present", "u1").astype(bool)
        blocks[block["name"]] = numpy.where(present[:, None], values, numpy.nan)
    return head["rows"], blocks, dict(head["categories"])


def millis(time_):
    """Milliseconds of a time, which is text or a number."""
    if isinstance(time_, (int, float)):
        return int(time_)
    return int(numpy.datetime64(time_.rstrip("Z"), "ms").astype("int64"))


home = pathlib.Path(arguments.home)
name, _, version = arguments.model.partition("/")
folders = [path for path in (home / "model_registry" / name).iterdir() if path.name.isdigit()]
folder = home / "model_registry" / name / (version or max(folders, key=lambda p: int(p.name)).name)
manifest = json.loads((folder / "manifest.json").read_text())
rows, blocks, categories = read_matrix(home / "data/runs" / manifest["run_id"] / "merge.safetensors")
filed = {}
for line in (folder / "predictions.jsonl").read_text().splitlines():
    row = json.loads(line)
    filed[row["id"]] = row
place = {row["id"]: at for at, row in enumerate(rows)}
parts = {"train": [], "validation": [], "test": []}
for id_, row in filed.items():
    parts[row["split"]].append(place[id_])
parts = {part: sorted(places) for part, places in parts.items()}
targets = numpy.array([filed[row["id"]]["target"] if row["id"] in filed else numpy.nan for row in rows])
ours = numpy.array([filed[rows[at]["id"]]["prediction"] for at in parts["test"]])


def features(components):
    """All columns, vectors as so many components of the training rows (None: whole)."""
    columns, names = [], []
    for name, values in blocks.items():
        if components and values.shape[1] >= 64:
            filled = numpy.nan_to_num(values)
            count = min(components, len(parts["train"]) - 1, values.shape[1])
            columns.append(PCA(count, random_state=0).fit(filled[parts["train"]]).transform(filled))
        else:
            columns.append(values)
        names += [f"{name}.{at}" for at in range(columns[-1].shape[1])]
    dense = numpy.hstack(columns)
    table = [list(row) for row in dense]
    for name, values in categories.items():
        names.append(name)
        for row, value in zip(table, values):
            row.append(value or "")
    return table, list(range(dense.shape[1], len(names)))


def pool(table, places, of_category):
    return Pool([table[at] for at in places], targets[places], cat_features=of_category)


draw = random.Random(arguments.seed)
tables = {}
best = None
tries = 0
end = time.monotonic() + 60 * arguments.minutes
while time.monotonic() < end:
    components = draw.choice([16, 32, 64, 64, None])
    if components not in tables:
        table, of_category = features(components)
        tables[components] = [pool(table, parts[part], of_category) for part in ("train", "validation")]
        learned = parts["train"] + parts["validation"]
        tables[components] += [pool(table, learned, of_category), pool(table, parts["test"], of_category)]
    train, validation, _, _ = tables[components]
    settings = {
        "depth": draw.choice([4, 5, 6, 7, 8]),
        "learning_rate": 10 ** draw.uniform(-2, -0.8),
        "l2_leaf_reg": 10 ** draw.uniform(0, 1.5),
        "rsm": draw.choice([0.1, 0.3, 1.0]),
        "random_strength": draw.choice([0.0, 1.0, 3.0]),
        "bagging_temperature": draw.choice([0.0, 1.0]),
        "random_seed": arguments.seed,
    }
    model = CatBoostRegressor(iterations=2000, early_stopping_rounds=80, verbose=False,
                              allow_writing_files=False, **settings)
    model.fit(train, eval_set=validation, use_best_model=True)
    tries += 1
    error = model.get_best_score()["validation"]["RMSE"]
    if best is None or error < best[0]:
        best = (error, components, settings, model.get_best_iteration() + 1)
error, components, settings, count = best
model = CatBoostRegressor(iterations=count, verbose=False, allow_writing_files=False, **settings)
model.fit(tables[components][2])
theirs = model.predict(tables[components][3])

wanted = targets[parts["test"]]
of_test = [rows[at] for at in parts["test"]]
communities = numpy.array([row["community"] or "" for row in of_test])
times = numpy.array([millis(row["created_at"]) if row["created_at"] is not None else -1 for row in of_test])


def within(weights, predictions):
    """The mean over communities of Spearman's correlation, weighted by rows."""
    total = count = 0
    for community in numpy.unique(communities):
        chosen = numpy.repeat(numpy.flatnonzero(communities == community),
                              weights[communities == community])
        if len(chosen) >= LEAST_WITHIN:
            value = spearmanr(wanted[chosen], predictions[chosen]).statistic
            if numpy.isfinite(value):
                total += value * len(chosen)
                count += len(chosen)
    return total / count if count else numpy.nan


def pooled(weights, predictions):
    chosen = numpy.repeat(numpy.arange(len(wanted)), weights)
    return spearmanr(wanted[chosen], predictions[chosen]).statistic


def block_ids():
    for length in (86_400_000, 21_600_000, 3_600_000):
        ids = times // length
        if (times >= 0).all() and len(numpy.unique(ids)) >= 10:
            return ids
    return numpy.arange(len(wanted))


_, blocks_of = numpy.unique(block_ids(), return_inverse=True)
generator = numpy.random.default_rng(arguments.seed)
samples = []
for _ in range(arguments.resamples):
    drawn = generator.integers(0, blocks_of.max() + 1, blocks_of.max() + 1)
    samples.append(numpy.bincount(drawn, minlength=blocks_of.max() + 1)[blocks_of])

print(f"{name}/{manifest['version']}: {len(parts['train'])} + {len(parts['validation'])} rows learned, "
      f"{len(wanted)} tested; {tries} tries of CatBoost, the best: {count} trees, "
      f"{components or 'whole'} components, {settings}")
whole = numpy.ones(len(wanted), int)
for label, metric in (("pooled", pooled), ("within communities", within)):
    a, b = metric(whole, ours), metric(whole, theirs)
    differences = [metric(sample, ours) - metric(sample, theirs) for sample in samples]
    low, high = numpy.nanquantile(differences, [0.025, 0.975])
    verdict = "met" if high >= 0 else "MISSED"
    print(f"{label}: ours {a:.4f}, CatBoost {b:.4f}, difference {a - b:+.4f} [{low:+.4f} {high:+.4f}] {verdict}")
