//! Whether the files of the versions are what the registry says they are.

use fs_err as fs;

use super::{Error, ModelVersion, Registry, version::MANIFEST};
use crate::store::Fault;

impl Registry {
    /// Every version whose files are missing or are not what was published.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub async fn faults(&self) -> Result<Vec<Fault>, Error> {
        let mut faults = Vec::new();
        for row in self.store.model_versions(None).await? {
            if row.removed_at.is_some() {
                continue;
            }
            let text = row.manifest.clone();
            let name = format!("{}/{}", row.name, row.version);
            let found = match self.read_row(row) {
                Ok(version) => check(&version, &text),
                Err(error) => Err(error),
            };
            if let Err(error) = found {
                faults.push(Fault {
                    code: "version_damaged",
                    message: format!("model version {name}: {error}"),
                });
            }
        }
        Ok(faults)
    }
}

fn check(version: &ModelVersion, manifest: &str) -> Result<(), Error> {
    let path = version.folder.join(MANIFEST);
    if fs::read_to_string(&path)? != manifest {
        return Err(Error::Damaged {
            path,
            message: "it is not the one that was recorded".to_owned(),
        });
    }
    version.weights()?;
    version.evaluated_weights()?;
    version.probes()?;
    version.evaluated_rows()?;
    Ok(())
}
