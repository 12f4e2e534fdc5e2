//! Rows of a version that are predicted again to prove that it still says what it said.

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Error, ModelVersion};
use crate::{artifacts, corpus::FeatureMatrix};

/// The features of the probes.
pub(super) const PROBES: &str = "probes.safetensors";
/// What was predicted of them, one JSON object a line.
pub(super) const ANSWERS: &str = "probes.jsonl";

/// What a version said of one probe when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// The record's id.
    pub id: String,
    /// By the weights that the version predicts with.
    pub published: f64,
    /// By those that were measured.
    pub evaluated: f64,
}

/// The probes of a version, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    /// Their features.
    pub matrix: FeatureMatrix,
    /// What was said of each.
    pub answers: Vec<ProbeAnswer>,
}

impl ModelVersion {
    /// The probes, without those that are purged since; nothing where the release filed none.
    ///
    /// # Errors
    ///
    /// Where the files are damaged.
    pub fn probes(&self) -> Result<Option<Probes>, Error> {
        self.check_is_there()?;
        if self.manifest.evaluated_sha256.is_none() {
            return Ok(None);
        }
        let matrix = self.read_probes(|_| true)?;
        let answers = self.read_answers()?;
        let ids = matrix.rows.iter().map(|row| &row.id);
        if !ids.eq(answers.iter().map(|answer| &answer.id)) {
            return Err(Error::Damaged {
                path: self.folder.join(ANSWERS),
                message: format!("its rows are not those of `{PROBES}`"),
            });
        }
        Ok(Some(Probes { matrix, answers }))
    }

    /// Takes the probes out whose record is gone, by its id.
    pub(super) fn purge_probes(&self, is_gone: impl Fn(&str) -> bool) -> Result<(), Error> {
        if self.manifest.evaluated_sha256.is_none() {
            return Ok(());
        }
        // Each file by itself: a death may have come between the two.
        let kept = self.read_probes(|id| !is_gone(id))?;
        artifacts::write_matrix(&self.folder.join(PROBES), &kept)?;
        let mut answers = self.read_answers()?;
        answers.retain(|answer| !is_gone(&answer.id));
        artifacts::write_atomic(&self.folder.join(ANSWERS), &lines(&answers)?)?;
        Ok(())
    }

    fn read_probes(&self, wanted: impl Fn(&str) -> bool) -> Result<FeatureMatrix, Error> {
        let path = self.folder.join(PROBES);
        artifacts::read_matrix_of(&path, |row| wanted(&row.id)).map_err(|error| Error::Damaged {
            message: error.to_string(),
            path,
        })
    }

    fn read_answers(&self) -> Result<Vec<ProbeAnswer>, Error> {
        let path = self.folder.join(ANSWERS);
        let text = fs::read_to_string(&path)?;
        let read: Result<_, _> = text.lines().map(serde_json::from_str).collect();
        read.map_err(|error: serde_json::Error| Error::Damaged {
            path,
            message: error.to_string(),
        })
    }
}

/// Rows as they are filed: one JSON object a line.
pub(super) fn lines<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, Error> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(std::io::Error::from)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        corpus::{ContentHash, Row},
        registry::{Candidate, VersionFile, made_up},
    };

    fn row(id: &str) -> Row {
        Row {
            id: id.to_owned(),
            created_at: None,
            community: None,
            author: None,
            order: None,
            classes: Vec::new(),
            label: None,
        }
    }

    #[tokio::test]
    async fn a_purged_probe_is_taken_out_whole_and_may_be_taken_out_twice() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 0).await;
        let answer = |id: &str| ProbeAnswer {
            id: id.to_owned(),
            published: 1.5,
            evaluated: 1.25,
        };
        let answers: Vec<ProbeAnswer> = ["a", "b"].map(answer).into();
        let matrix = FeatureMatrix {
            rows: vec![row("a"), row("b")],
            ..FeatureMatrix::default()
        };
        let path = home.path().join("matrix");
        artifacts::write_matrix(&path, &matrix).unwrap();
        let mut manifest = made_up::manifest(1);
        manifest.evaluated_sha256 = Some(ContentHash::of(b"measured"));
        let candidate = Candidate {
            manifest,
            content_key: "1".to_owned(),
            weights: b"weights".to_vec(),
            more: vec![
                VersionFile::Evaluated(b"measured".to_vec()),
                VersionFile::Probes(fs::read(&path).unwrap()),
                VersionFile::Answers(answers.clone()),
            ],
            rows: Vec::new(),
            promote: None,
        };
        registry.publish(candidate).await.unwrap();
        let version = registry.resolve(&"reddit/1".parse().unwrap()).await;
        let version = version.unwrap();
        assert_eq!(version.weights().unwrap(), b"weights");
        assert_eq!(version.evaluated_weights().unwrap(), b"measured");
        assert_eq!(version.probes().unwrap(), Some(Probes { matrix, answers }));

        for _ in 0..2 {
            version.purge_probes(|id| id == "a").unwrap();
            let left = version.probes().unwrap().unwrap();
            assert_eq!(left.answers, [answer("b")]);
            assert_eq!(left.matrix.rows, [row("b")]);
        }
        // As after a death between the two files.
        let lines = lines(&[answer("a"), answer("b")]).unwrap();
        fs::write(version.folder.join(ANSWERS), lines).unwrap();
        let damaged = version.probes().unwrap_err().to_string();
        assert!(
            damaged.contains("not those of `probes.safetensors`"),
            "{damaged}"
        );
        version.purge_probes(|id| id == "a").unwrap();
        assert_eq!(version.probes().unwrap().unwrap().answers.len(), 1);
        assert!(registry.faults().await.unwrap().is_empty());
    }
}
