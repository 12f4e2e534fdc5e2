//! Where a model's names point: promoting, going back, tags.

use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;

use super::{Error, ModelName, ModelVersion, Registry};
use crate::{
    clock::Timestamp,
    store::{AliasMove, MoveKind, NewMove},
};

/// The alias of the version that predicts.
pub const CHAMPION: &str = "champion";

/// The most characters of an alias or of a tag's key.
const LONGEST: usize = 250;

/// An alias that has moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Moved {
    /// The model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// Where it pointed; nothing where it was not there.
    pub from: Option<u32>,
    /// Where it points; nothing where it was taken away.
    pub to: Option<u32>,
    /// Why, in words.
    pub cause: String,
}

impl Registry {
    /// Makes a version the champion, whatever a gate said of it.
    ///
    /// # Errors
    ///
    /// Where there is no such version, its files were removed or are damaged.
    pub async fn promote(
        &self,
        version: &ModelVersion,
        cause: &str,
        now: Timestamp,
    ) -> Result<Moved, Error> {
        // Nobody shall predict with what cannot be read.
        version.weights()?;
        let manifest = &version.manifest;
        let name = (manifest.name.as_str(), CHAMPION);
        let to = Some(manifest.version);
        self.point(name, to, MoveKind::Promoted, cause, now).await
    }

    /// Makes the version champion again that was it before the present one.
    ///
    /// Going back twice goes back two versions; what was removed since is passed over.
    ///
    /// # Errors
    ///
    /// [`Error::NoEarlier`] where there was none before.
    pub async fn roll_back(&self, name: &str, cause: &str, now: Timestamp) -> Result<Moved, Error> {
        let current = ModelName::Alias(name.to_owned(), CHAMPION.to_owned());
        let current = self.resolve(&current).await?.manifest.version;
        let mut earlier = been(&self.store.alias_moves(name, CHAMPION).await?);
        while let Some(version) = earlier.pop() {
            if version == current {
                continue;
            }
            let version = ModelName::Version(name.to_owned(), version);
            let version = self.resolve(&version).await?;
            if version.removed_at.is_none() {
                version.weights()?;
                let to = Some(version.manifest.version);
                let alias = (name, CHAMPION);
                return self
                    .point(alias, to, MoveKind::RolledBack, cause, now)
                    .await;
            }
        }
        Err(Error::NoEarlier {
            name: name.to_owned(),
            version: current,
        })
    }

    /// Points an alias at a version, or takes it away; the champion moves by
    /// [`Registry::promote`] and [`Registry::roll_back`] alone.
    ///
    /// # Errors
    ///
    /// Where the alias is no good name, or the version's files are removed.
    pub async fn set_alias(
        &self,
        (name, alias): (&str, &str),
        version: Option<u32>,
        now: Timestamp,
    ) -> Result<Moved, Error> {
        check_name("an alias", alias)?;
        if alias == CHAMPION {
            return Err(Error::Tag(
                "the champion moves by `models promote` and `models rollback`".to_owned(),
            ));
        }
        let how = match version {
            Some(_) => MoveKind::Set,
            None => MoveKind::Removed,
        };
        self.point((name, alias), version, how, "set by hand", now)
            .await
    }

    /// Sets tags of a version, and takes away those without a value.
    ///
    /// # Errors
    ///
    /// Where a key is no good name, or the store refuses.
    pub async fn tag(
        &self,
        version: &ModelVersion,
        tags: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        for (key, _) in tags {
            check_name("a tag's key", key)?;
        }
        let manifest = &version.manifest;
        let version = (manifest.name.as_str(), manifest.version);
        Ok(self.store.tag_version(version, tags).await?)
    }

    /// Where the champion has been, in the order of its moves, and why it moved.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub async fn champions(&self, name: &str) -> Result<Vec<AliasMove>, Error> {
        Ok(self.store.alias_moves(name, CHAMPION).await?)
    }

    async fn point(
        &self,
        (name, alias): (&str, &str),
        version: Option<u32>,
        how: MoveKind,
        cause: &str,
        moved_at: Timestamp,
    ) -> Result<Moved, Error> {
        let new = NewMove {
            name,
            alias,
            version,
            moved_at,
            how,
            cause,
        };
        let from = self.store.move_alias(new).await?;
        info!(model.name = name, alias, ?from, to = ?version, "an alias moved");
        Ok(Moved {
            name: name.to_owned(),
            alias: alias.to_owned(),
            from,
            to: version,
            cause: cause.to_owned(),
        })
    }
}

/// The versions to which an alias pointed and has not gone back from, the present one last.
fn been(moves: &[AliasMove]) -> Vec<u32> {
    let mut been: Vec<u32> = Vec::new();
    for moved in moves {
        let Some(version) = moved.version else {
            continue;
        };
        if moved.how == MoveKind::RolledBack {
            // What it went back from was not good; what lies between was removed.
            while been.last().is_some_and(|&last| last != version) {
                been.pop();
            }
        }
        if been.last() != Some(&version) {
            been.push(version);
        }
    }
    been
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    if name.trim().is_empty() || name.chars().count() > LONGEST || !name.chars().all(good) {
        return Err(Error::Tag(format!(
            "`{name}` is not {what}: write 1 to {LONGEST} letters, digits, `_`, `-`, `.` or spaces"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::made_up;

    fn moved(version: u32, how: MoveKind) -> AliasMove {
        AliasMove {
            version: Some(version),
            moved_at: Timestamp::from_millis(0),
            how,
            cause: String::new(),
        }
    }

    #[test]
    fn going_back_goes_on_where_it_stopped() {
        let mut moves: Vec<_> = (1..=4).map(|v| moved(v, MoveKind::Published)).collect();
        assert_eq!(been(&moves), [1, 2, 3, 4]);
        moves.push(moved(3, MoveKind::RolledBack));
        assert_eq!(been(&moves), [1, 2, 3]);
        moves.push(moved(1, MoveKind::RolledBack));
        assert_eq!(been(&moves), [1]);
        moves.push(moved(5, MoveKind::Published));
        moves.push(moved(5, MoveKind::Promoted));
        assert_eq!(been(&moves), [1, 5]);
        moves.push(moved(1, MoveKind::RolledBack));
        assert_eq!(been(&moves), [1]);
    }

    #[tokio::test]
    async fn the_champion_moves_back_and_forth() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 4).await;
        let at = Timestamp::from_millis(5);
        let champion = async || {
            let name = "reddit".parse().unwrap();
            registry.resolve(&name).await.unwrap().manifest.version
        };
        assert_eq!(champion().await, 4);
        let moved = registry.roll_back("reddit", "it guesses", at).await;
        let moved = moved.unwrap();
        assert_eq!((moved.from, moved.to), (Some(4), Some(3)));
        assert_eq!(champion().await, 3);
        // What was removed is passed over.
        let second = registry
            .resolve(&"reddit/2".parse().unwrap())
            .await
            .unwrap();
        registry.remove(&second, at).await.unwrap();
        registry
            .roll_back("reddit", "so does it", at)
            .await
            .unwrap();
        assert_eq!(champion().await, 1);
        let none = registry.roll_back("reddit", "again", at).await.unwrap_err();
        assert!(
            matches!(none, Error::NoEarlier { version: 1, .. }),
            "{none}"
        );
        let fourth = registry
            .resolve(&"reddit/4".parse().unwrap())
            .await
            .unwrap();
        registry.promote(&fourth, "it was right", at).await.unwrap();
        assert_eq!(champion().await, 4);
        let moves = registry.champions("reddit").await.unwrap();
        let causes: Vec<_> = moves
            .iter()
            .map(|m| (m.version, m.cause.as_str()))
            .collect();
        assert_eq!(
            causes[4..],
            [
                (Some(3), "it guesses"),
                (Some(1), "so does it"),
                (Some(4), "it was right")
            ]
        );
        // A version without files never becomes the champion.
        let second = registry
            .resolve(&"reddit/2".parse().unwrap())
            .await
            .unwrap();
        let gone = registry.promote(&second, "why not", at).await.unwrap_err();
        assert!(matches!(gone, Error::Removed { .. }), "{gone}");
        assert_eq!(champion().await, 4);
    }

    #[tokio::test]
    async fn tags_and_other_names_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let registry = made_up::registry(home.path(), 2).await;
        let at = Timestamp::from_millis(5);
        let first = registry
            .resolve(&"reddit/1".parse().unwrap())
            .await
            .unwrap();
        let tag = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        let tags = [tag("owner", Some("team")), tag("reviewed", Some("yes"))];
        registry.tag(&first, &tags).await.unwrap();
        registry.tag(&first, &[tag("owner", None)]).await.unwrap();
        let staging = ("reddit", "staging");
        registry.set_alias(staging, Some(1), at).await.unwrap();
        let staged = registry.resolve(&"reddit@staging".parse().unwrap()).await;
        let staged = staged.unwrap();
        assert_eq!(staged.manifest.version, 1);
        assert_eq!(json!(staged.tags), json!({"reviewed": "yes"}));
        // Nothing is removed to which a name points.
        let used = registry.remove(&staged, at).await.unwrap_err();
        assert!(used.to_string().contains("`staging` points"), "{used}");
        registry.set_alias(staging, None, at).await.unwrap();
        registry.remove(&staged, at).await.unwrap();
        let champion = ("reddit", CHAMPION);
        assert!(registry.set_alias(champion, Some(1), at).await.is_err());
        assert!(registry.set_alias(staging, Some(9), at).await.is_err());
    }

    #[test]
    fn names_are_words() {
        for good in ["staging", "owner.team", "a b", "größe"] {
            assert!(check_name("an alias", good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a/b", "a=b", "x\ny"] {
            assert!(check_name("an alias", bad).is_err(), "{bad:?}");
        }
        assert!(check_name("an alias", &"x".repeat(251)).is_err());
    }
}
