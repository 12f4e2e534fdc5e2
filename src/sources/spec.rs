//! What a source is called on the command line and in a pipeline file.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Error, table::TableSpec};

const ALLOWED: &str = "`sandbox[:seed=S,start=D,days=N,posts=N]`, `dump:FILE|DIR`, \
                       `table:FILE|DIR[,images=DIR][,id=C]…`, `reddit` or `arctic`";

/// A source as it is written: `KIND[:PATH][,OPTION=VALUE]…`.
///
/// Its text is canonical: two texts that mean the same, up to the spelling of paths, give the same
/// one; [`SourceSpec::resolve`] takes the spelling of paths away too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for a run")]
pub enum SourceSpec {
    /// The live API.
    Reddit,
    /// An archive that is searched without an account.
    Arctic,
    /// A simulated Reddit; its options as written, empty for the defaults.
    Sandbox(String),
    /// A dump, or a folder of dumps.
    Dump(PathBuf),
    /// A table, or a folder of tables.
    Table(TableSpec),
}

impl SourceSpec {
    /// The kind, as it is written: `reddit`, `arctic`, `sandbox`, `dump` or `table`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Reddit => "reddit",
            Self::Arctic => "arctic",
            Self::Sandbox(_) => "sandbox",
            Self::Dump(_) => "dump",
            Self::Table(_) => "table",
        }
    }

    /// The same with every path made absolute: relative ones lie in `base`, links are followed
    /// where there is something to follow.
    #[must_use]
    pub fn resolve(self, base: &Path) -> Self {
        match self {
            Self::Dump(path) => Self::Dump(absolute(base, &path)),
            Self::Table(table) => Self::Table(TableSpec {
                path: absolute(base, &table.path),
                images: table.images.map(|path| absolute(base, &path)),
                ..table
            }),
            other => other,
        }
    }
}

fn absolute(base: &Path, path: &Path) -> PathBuf {
    let joined = base.join(path);
    fs_err::canonicalize(&joined).unwrap_or(joined)
}

impl FromStr for SourceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("reddit", None) => Ok(Self::Reddit),
            ("arctic", None) => Ok(Self::Arctic),
            ("reddit" | "arctic", Some(_)) => Err(Error::Wrong(format!(
                "the source `{kind}` takes nothing after its name"
            ))),
            ("sandbox", options) => Ok(Self::Sandbox(options.unwrap_or_default().to_owned())),
            ("dump", Some(path)) if !path.is_empty() => Ok(Self::Dump(path.into())),
            ("table", Some(rest)) if !rest.is_empty() => rest.parse().map(Self::Table),
            ("dump" | "table", _) => Err(Error::Wrong(format!(
                "the source `{kind}` needs a file or a folder: `{kind}:PATH`"
            ))),
            _ => Err(Error::Wrong(format!(
                "`{text}` is not a source; write {ALLOWED}"
            ))),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reddit => f.write_str("reddit"),
            Self::Arctic => f.write_str("arctic"),
            Self::Sandbox(options) if options.is_empty() => f.write_str("sandbox"),
            Self::Sandbox(options) => write!(f, "sandbox:{options}"),
            Self::Dump(path) => write!(f, "dump:{}", path.display()),
            Self::Table(table) => write!(f, "table:{table}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in [
            "reddit",
            "arctic",
            "sandbox",
            "sandbox:seed=7,days=3",
            "dump:a,b/posts.ndjson.zst",
            "table:t.csv",
            "table:dir,images=pics,score=score_18@18h,order=int(id, 36)",
        ] {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_allowed() {
        for (text, hint) in [
            ("csv:a.csv", "table:FILE|DIR"),
            ("", "sandbox"),
            ("instaloader:dir", "`reddit`"),
            ("dump", "dump:PATH"),
            ("table:", "table:PATH"),
            ("reddit:aww", "nothing"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err();
            assert!(matches!(error, Error::Wrong(_)));
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn one_place_has_one_name() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.csv");
        fs_err::write(&file, "id\n").unwrap();
        let names = ["table:a.csv", "table:./x/../a.csv"].map(|text| {
            fs_err::create_dir_all(home.path().join("x")).unwrap();
            let spec: SourceSpec = text.parse().unwrap();
            spec.resolve(home.path()).to_string()
        });
        assert_eq!(names[0], names[1]);
    }
}
