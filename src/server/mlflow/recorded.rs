//! What is refused: changing what trendmill recorded, and what it alone records.

use axum::{Router, routing::post};

use super::{super::SharedHost, asked::Asked, refusal::Refusal};

pub(super) fn routes() -> Router<SharedHost> {
    let runs = [
        "/runs/update",
        "/runs/delete",
        "/runs/restore",
        "/runs/log-metric",
        "/runs/log-parameter",
        "/runs/log-batch",
        "/runs/log-inputs",
        "/runs/outputs",
        "/runs/log-model",
    ];
    let experiments = [
        "/experiments/update",
        "/experiments/delete",
        "/experiments/restore",
        "/experiments/set-experiment-tag",
        "/experiments/delete-experiment-tag",
    ];
    let models = [
        "/registered-models/rename",
        "/registered-models/update",
        "/registered-models/delete",
        "/registered-models/set-tag",
        "/registered-models/delete-tag",
        "/model-versions/delete",
        "/model-versions/transition-stage",
    ];
    let made = [
        "/runs/create",
        "/experiments/create",
        "/registered-models/create",
        "/model-versions/create",
    ];
    let mut router = Router::new();
    for path in runs {
        router = router.route(path, post(run).patch(run).delete(run));
    }
    for path in experiments {
        router = router.route(path, post(experiment));
    }
    for path in models {
        router = router.route(path, post(model).patch(model).delete(model));
    }
    for path in made {
        router = router.route(path, post(new));
    }
    router
}

async fn run(asked: Asked) -> Refusal {
    let run = asked.run_id().unwrap_or("none").to_owned();
    Refusal::recorded(&format!("the run {run}"))
}

async fn experiment(asked: Asked) -> Refusal {
    let experiment = asked.text("experiment_id").unwrap_or("none");
    Refusal::recorded(&format!("the experiment {experiment}"))
}

async fn model(asked: Asked) -> Refusal {
    let model = asked.text("name").unwrap_or("none");
    Refusal::recorded(&format!("the model {model}"))
}

async fn new() -> Refusal {
    Refusal::unsupported(
        "experiments, runs, models and versions come from runs of trendmill's pipelines; \
         `trendmill run PIPELINE` makes one",
    )
}
