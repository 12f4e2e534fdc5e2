//! The files of versions, as the artifacts of the runs that published them, and those of logged runs.

use std::path::{Component, Path as FilePath, PathBuf};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fs_err::tokio as fs;
use futures::stream::try_unfold;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::{
    super::SharedHost, asked::Asked, refusal::Refusal, run::artifact_uri, tracking::version_of_run,
    uploads,
};
use crate::registry::LoggedFiles;

/// How many bytes of a file are held at once.
const CHUNK: usize = 64 * 1024;

/// Below `/mlflow-artifacts`.
pub(super) fn proxy_routes() -> Router<SharedHost> {
    let file = get(download).put(uploads::put).delete(uploads::delete);
    Router::new()
        .route("/artifacts", get(list_by_uri))
        .route("/artifacts/{*path}", file)
        .route("/mpu/create/{*path}", post(uploads::no_parts))
}

/// Below `/mlflow`.
pub(super) fn routes() -> Router<SharedHost> {
    Router::new().route("/artifacts/list", get(list))
}

/// The folder or file of a version at a path below `EXPERIMENT/RUN/artifacts`.
pub(super) async fn place(host: &SharedHost, path: &str) -> Result<PathBuf, Refusal> {
    let mut parts = path.trim_matches('/').splitn(4, '/');
    let (experiment, run, word) = (parts.next(), parts.next(), parts.next());
    let (Some(experiment), Some(run), Some("artifacts")) = (experiment, run, word) else {
        return Err(Refusal::unknown(format!(
            "there are no artifacts at `{path}`"
        )));
    };
    let (of, folder) = folder(host, run).await?;
    if of != experiment {
        return Err(Refusal::unknown(format!(
            "there are no artifacts at `{path}`"
        )));
    }
    below(&folder, parts.next().unwrap_or_default())
}

/// The experiment of a run, and the folder of its files.
async fn folder(host: &SharedHost, run_id: &str) -> Result<(String, PathBuf), Refusal> {
    if let Some(run) = host.store().logged_run(run_id).await? {
        let folder = LoggedFiles::of(host.data_dir()).run(&run.run_id);
        return Ok((run.experiment.to_string(), folder));
    }
    let version = version_of_run(host, run_id).await?;
    Ok((version.manifest.name, version.folder))
}

/// Nothing outside of the folder is ever named.
fn below(folder: &FilePath, path: &str) -> Result<PathBuf, Refusal> {
    let relative = FilePath::new(path);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if path.contains(['\\', '\0']) || !relative.components().all(plain) {
        return Err(Refusal::invalid(format!("Invalid path: `{path}`")));
    }
    Ok(folder.join(relative))
}

/// What lies in a folder; a file and what is missing hold nothing, as `MLflow` answers.
async fn files(folder: &FilePath, before: &str) -> Result<Vec<Value>, Refusal> {
    let is_folder = fs::metadata(folder).await.is_ok_and(|found| found.is_dir());
    if !is_folder {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| Refusal::internal(error.to_string());
    let mut found = Vec::new();
    let mut entries = fs::read_dir(folder).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let facts = entry.metadata().await.map_err(failed)?;
        let path = format!("{before}{}", entry.file_name().to_string_lossy());
        if facts.is_symlink() {
            continue;
        }
        let mut file = json!({ "path": path, "is_dir": facts.is_dir() });
        if facts.is_file() {
            file["file_size"] = facts.len().into();
        }
        found.push(file);
    }
    found.sort_by(|one, other| one["path"].as_str().cmp(&other["path"].as_str()));
    Ok(found)
}

fn answered(files: Vec<Value>, root: Option<String>) -> Json<Value> {
    let mut answer = json!({});
    if let Some(root) = root {
        answer["root_uri"] = root.into();
    }
    if !files.is_empty() {
        answer["files"] = files.into();
    }
    Json(answer)
}

async fn list_by_uri(State(host): State<SharedHost>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let folder = place(&host, asked.needed("path")?).await?;
    Ok(answered(files(&folder, "").await?, None))
}

async fn list(State(host): State<SharedHost>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let run_id = asked.run_id()?;
    let (experiment, folder) = folder(&host, run_id).await?;
    let path = asked.text("path").unwrap_or_default().trim_matches('/');
    let folder = below(&folder, path)?;
    let before = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let root = artifact_uri(&experiment, run_id);
    Ok(answered(files(&folder, &before).await?, Some(root)))
}

async fn download(
    State(host): State<SharedHost>,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    let place = place(&host, &path).await?;
    let missing = || Refusal::unknown(format!("there is no file `{path}`"));
    let facts = fs::symlink_metadata(&place).await;
    if !facts.is_ok_and(|facts| facts.is_file()) {
        return Err(missing());
    }
    let file = fs::File::open(&place).await.map_err(|_| missing())?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let chunks = try_unfold(file, async |mut file| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .await?;
        std::io::Result::Ok((read > 0).then_some((chunk, file)))
    });
    Ok((kind, Body::from_stream(chunks)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = FilePath::new("/home/versions/1");
        assert!(below(folder, "").is_ok());
        assert_eq!(
            below(folder, "a/b.json").unwrap(),
            FilePath::new("/home/versions/1/a/b.json")
        );
        for bad in ["..", "a/../../2", "/etc/passwd", "./x", "a\\..\\b", "a\0b"] {
            assert!(below(folder, bad).is_err(), "{bad}");
        }
    }
}
