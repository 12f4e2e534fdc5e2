//! Which columns of a table mean what: `PATH[,OPTION=VALUE]…`.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use super::super::Error;

const OPTIONS: [&str; 9] = [
    "images",
    "id",
    "title",
    "created",
    "community",
    "author",
    "score",
    "image",
    "order",
];

/// A table and the meaning of its columns; what is `None` goes by the default names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSpec {
    /// A file, or a folder of files that are one table together.
    pub path: PathBuf,
    /// A folder of images, which join by the names of their files.
    pub images: Option<PathBuf>,
    /// The column with the id.
    pub id: Option<String>,
    /// The column with the title.
    pub title: Option<String>,
    /// The column with the time of publication.
    pub created: Option<String>,
    /// The column with the community.
    pub community: Option<String>,
    /// The column with the author.
    pub author: Option<String>,
    /// The column with the score.
    pub score: Option<ScoreColumn>,
    /// The column with an image's path or URL.
    pub image: Option<String>,
    /// The expression that orders the rows where they have no time; evaluated by the operators.
    pub order: Option<String>,
}

/// The column with the score, and how old the record was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreColumn {
    /// The column's name.
    pub column: String,
    /// The reading's age, the same for all rows; `None` where it is not known.
    pub age: Option<Duration>,
}

impl TableSpec {
    /// The table at `path`, with the default names of columns.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if value.is_empty() {
            let message = format!("the table option `{key}` is empty; write `{key}=VALUE`");
            return Err(Error::Wrong(message));
        }
        let is_first = match key {
            "images" => self.images.replace(value.into()).is_none(),
            "score" => self.score.replace(value.parse()?).is_none(),
            "id" => self.id.replace(value.to_owned()).is_none(),
            "title" => self.title.replace(value.to_owned()).is_none(),
            "created" => self.created.replace(value.to_owned()).is_none(),
            "community" => self.community.replace(value.to_owned()).is_none(),
            "author" => self.author.replace(value.to_owned()).is_none(),
            "image" => self.image.replace(value.to_owned()).is_none(),
            "order" => self.order.replace(value.to_owned()).is_none(),
            _ => {
                return Err(Error::Wrong(format!(
                    "`{key}` is not an option of a table; there are `{}`",
                    OPTIONS.join("`, `")
                )));
            }
        };
        if is_first {
            Ok(())
        } else {
            let message = format!("the table option `{key}` is given twice");
            Err(Error::Wrong(message))
        }
    }
}

/// The key and value of a piece between commas, if it is an option.
fn option(piece: &str) -> Option<(&str, &str)> {
    let (key, value) = piece.split_once('=')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_key && !value.starts_with('=')).then_some((key, value))
}

impl FromStr for TableSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut path = String::new();
        let mut options: Vec<(&str, String)> = Vec::new();
        for (index, piece) in text.split(',').enumerate() {
            // An expression has commas and equal signs of its own.
            let in_order = options.last().is_some_and(|(key, _)| *key == "order");
            let option =
                option(piece).filter(|(key, _)| index > 0 && (!in_order || OPTIONS.contains(key)));
            if let Some((key, value)) = option {
                options.push((key, value.to_owned()));
                continue;
            }
            // A comma within a path, a column's name or an expression.
            let whole = options.last_mut().map_or(&mut path, |(_, value)| value);
            if index > 0 {
                whole.push(',');
            }
            whole.push_str(piece);
        }
        let mut spec = Self::new(path);
        options
            .iter()
            .try_for_each(|(key, value)| spec.set(key, value))?;
        Ok(spec)
    }
}

impl fmt::Display for TableSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(images) = &self.images {
            write!(f, ",images={}", images.display())?;
        }
        let score = self.score.as_ref().map(ToString::to_string);
        for (key, value) in [
            ("id", &self.id),
            ("title", &self.title),
            ("created", &self.created),
            ("community", &self.community),
            ("author", &self.author),
            ("score", &score),
            ("image", &self.image),
            ("order", &self.order),
        ] {
            if let Some(value) = value {
                write!(f, ",{key}={value}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for ScoreColumn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (column, age) = match text.rsplit_once('@') {
            None => (text, None),
            Some((column, age)) => match parse_age(age) {
                Some(age) => (column, Some(age)),
                None => {
                    return Err(Error::Wrong(format!(
                        "`{age}` in `score={text}` is not an age; write `18h`, `90m` or `7d`"
                    )));
                }
            },
        };
        Ok(Self {
            column: column.to_owned(),
            age,
        })
    }
}

impl fmt::Display for ScoreColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.column)?;
        let Some(age) = self.age.map(|age| age.as_secs()) else {
            return Ok(());
        };
        let (unit, seconds) = UNITS
            .into_iter()
            .find(|(_, seconds)| age.is_multiple_of(*seconds))
            .expect("every number of seconds is a multiple of one second");
        write!(f, "@{}{unit}", age / seconds)
    }
}

const UNITS: [(char, u64); 4] = [('d', 86400), ('h', 3600), ('m', 60), ('s', 1)];

fn parse_age(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_option() {
        let text = "a.csv,score=s@36h,images=p,id=i,title=t,created=c,community=q,author=w,image=m";
        let spec: TableSpec = text.parse().unwrap();
        assert_eq!(
            spec.score.as_ref().unwrap().age,
            Some(Duration::from_hours(36))
        );
        assert_eq!(
            spec.to_string(),
            "a.csv,images=p,id=i,title=t,created=c,community=q,author=w,score=s@36h,image=m"
        );
        assert_eq!(spec.to_string().parse::<TableSpec>().unwrap(), spec);
    }

    #[test]
    fn an_expression_may_have_commas_and_equal_signs() {
        let spec: TableSpec = "a,b.csv,order=f(x,base=36) if y == 2 else 0,id=k"
            .parse()
            .unwrap();
        assert_eq!(spec.path, PathBuf::from("a,b.csv"));
        assert_eq!(spec.order.as_deref(), Some("f(x,base=36) if y == 2 else 0"));
        assert_eq!(spec.id.as_deref(), Some("k"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (text, hint) in [
            ("a.csv,colour=red", "`images`"),
            ("a.csv,id=", "empty"),
            ("a.csv,id=a,id=b", "twice"),
            ("a.csv,score=likes@soon", "18h"),
        ] {
            let error = text.parse::<TableSpec>().unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
