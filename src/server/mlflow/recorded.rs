//! What is refused: changing the models that trendmill published, publishing others, and what is not
//! kept of runs.

use axum::{Router, routing::post};

use super::{super::SharedHost, asked::Asked, refusal::Refusal};

pub(super) fn routes() -> Router<SharedHost> {
    let entries = ["/runs/log-inputs", "/runs/outputs", "/runs/log-model"];
    let models = [
        "/registered-models/rename",
        "/registered-models/update",
        "/registered-models/delete",
        "/registered-models/set-tag",
        "/registered-models/delete-tag",
        "/model-versions/delete",
        "/model-versions/transition-stage",
    ];
    let made = ["/registered-models/create", "/model-versions/create"];
    let mut router = Router::new();
    for path in entries {
        router = router.route(path, post(entry));
    }
    for path in models {
        router = router.route(path, post(model).patch(model).delete(model));
    }
    for path in made {
        router = router.route(path, post(new));
    }
    router
}

async fn entry() -> Refusal {
    Refusal::unsupported(
        "datasets and models of runs are not kept here: log what describes them as tags and \
         parameters",
    )
}

async fn model(asked: Asked) -> Refusal {
    let model = asked.text("name").unwrap_or("none");
    Refusal::recorded(&format!("the model {model}"))
}

async fn new() -> Refusal {
    Refusal::unsupported(
        "registered models and their versions are published by runs of trendmill's pipelines, which \
         measure them and pass the gate: `trendmill run PIPELINE` publishes one",
    )
}
