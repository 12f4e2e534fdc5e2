//! Files of runs: those of a version are the artifacts of the run that published it, beside those that
//! others log.

use std::path::{Component, Path as FilePath, PathBuf};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use fs_err::tokio as fs;
use futures::stream::try_unfold;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::{
    super::SharedHost, asked::Asked, refusal::Refusal, run::artifact_uri, tracking::version_of_run,
    uploads,
};

/// How many bytes of a file are held at once.
const CHUNK: usize = 64 * 1024;

/// Below `/mlflow-artifacts`.
pub(super) fn proxy_routes() -> Router<SharedHost> {
    Router::new().route("/artifacts", get(list_by_uri)).route(
        "/artifacts/{*path}",
        get(download).put(uploads::upload).delete(uploads::delete),
    )
}

/// Below `/mlflow`.
pub(super) fn routes() -> Router<SharedHost> {
    Router::new().route("/artifacts/list", get(list))
}

/// The folder or file at a path below `EXPERIMENT/RUN/artifacts`.
async fn place(host: &SharedHost, path: &str) -> Result<PathBuf, Refusal> {
    let (experiment, run, rest) = parted(path)?;
    let (of, folder) = folder(host, run).await?;
    if of != experiment {
        return Err(no_artifacts(path));
    }
    below(&folder, rest)
}

/// The experiment, the run and what follows of `EXPERIMENT/RUN/artifacts/…`.
pub(super) fn parted(path: &str) -> Result<(&str, &str, &str), Refusal> {
    let mut parts = path.trim_matches('/').splitn(4, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(experiment), Some(run), Some("artifacts")) => {
            Ok((experiment, run, parts.next().unwrap_or_default()))
        }
        _ => Err(no_artifacts(path)),
    }
}

pub(super) fn no_artifacts(path: &str) -> Refusal {
    Refusal::unknown(format!("there are no artifacts at `{path}`"))
}

/// The experiment of a run, and the folder of its files.
async fn folder(host: &SharedHost, run_id: &str) -> Result<(String, PathBuf), Refusal> {
    if let Some(run) = host.store().logged_run(run_id).await? {
        let folder = host.data_dir().join("logged").join(&run.run_id);
        return Ok((run.experiment.to_string(), folder));
    }
    let version = version_of_run(host, run_id).await?;
    Ok((version.manifest.name, version.folder))
}

/// Nothing outside of the folder is ever named.
pub(super) fn below(folder: &FilePath, path: &str) -> Result<PathBuf, Refusal> {
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
