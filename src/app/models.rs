//! What people do with model versions: promote, go back, compare, tag, export, remove.

use std::path::{self, Path, PathBuf};

use super::{App, Error};
use crate::{
    artifacts::{self, Copy, CopyKind},
    registry::{self, ModelName, ModelVersion, Moved},
};

/// What has been noted of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagging {
    /// Tags with their values; a tag without one is taken away.
    pub tags: Vec<(String, Option<String>)>,
    /// Aliases that shall point at it.
    pub aliases: Vec<String>,
    /// Aliases that shall point nowhere.
    pub without_aliases: Vec<String>,
}

impl App {
    /// The version that people call so.
    pub(super) async fn version(&self, name: &str) -> Result<ModelVersion, Error> {
        let name: ModelName = name.parse()?;
        Ok(self.registry().resolve(&name).await?)
    }

    /// Makes a version the champion.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or its files are removed or damaged.
    pub async fn promote(&self, model: &str, cause: &str) -> Result<Moved, Error> {
        let version = self.version(model).await?;
        let now = self.clock().now();
        Ok(self.registry().promote(&version, cause, now).await?)
    }

    /// Makes the version champion again that was it before.
    ///
    /// # Errors
    ///
    /// Where there is no such model, or no version before.
    pub async fn roll_back(&self, name: &str, cause: &str) -> Result<Moved, Error> {
        let now = self.clock().now();
        Ok(self.registry().roll_back(name, cause, now).await?)
    }

    /// Notes something of a version. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or a name is not good.
    pub async fn tag_version(&self, model: &str, tagging: &Tagging) -> Result<ModelVersion, Error> {
        let version = self.version(model).await?;
        let (registry, now) = (self.registry(), self.clock().now());
        let name = version.manifest.name.as_str();
        registry.tag(&version, &tagging.tags).await?;
        for alias in &tagging.aliases {
            let to = Some(version.manifest.version);
            registry.set_alias((name, alias), to, now).await?;
        }
        for alias in &tagging.without_aliases {
            registry.set_alias((name, alias), None, now).await?;
        }
        let version = ModelName::Version(name.to_owned(), version.manifest.version);
        Ok(registry.resolve(&version).await?)
    }

    /// Copies a version's files into a new folder.
    ///
    /// The predictions in it are noted, so that a purge finds them.
    ///
    /// # Errors
    ///
    /// Where there is no such version, its files are removed or damaged, the folder is there
    /// already, or the disk refuses.
    pub async fn export_version(
        &self,
        model: &str,
        folder: &Path,
    ) -> Result<(ModelVersion, Vec<PathBuf>), Error> {
        let version = self.version(model).await?;
        let folder = path::absolute(folder).map_err(registry::Error::File)?;
        let copy = Copy {
            path: ModelVersion::rows_in(&folder),
            kind: CopyKind::Jsonl,
            dataset: Some(version.manifest.dataset.clone()),
        };
        artifacts::note_copy(self.data_dir(), &copy).map_err(registry::Error::File)?;
        let files = version.export(&folder)?;
        Ok((version, files))
    }

    /// Removes the files of a version; its metrics stay.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or an alias points at it.
    pub async fn remove_version(&self, model: &str) -> Result<ModelVersion, Error> {
        let version = self.version(model).await?;
        self.registry().remove(&version, self.clock().now()).await?;
        Ok(version)
    }
}
