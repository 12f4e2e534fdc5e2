//! How people name a model version: `NAME/VERSION` or `NAME@ALIAS`.

use std::{fmt, str::FromStr};

use super::Error;

/// How people name a model version; a bare name means its champion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// `NAME/VERSION`.
    Version(String, u32),
    /// `NAME@ALIAS`.
    Alias(String, String),
}

impl ModelName {
    /// The model's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Version(name, _) | Self::Alias(name, _) => name,
        }
    }
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Name(text.to_owned());
        let named = |name: &str| {
            if name.is_empty() {
                Err(wrong())
            } else {
                Ok(name.to_owned())
            }
        };
        if let Some((name, alias)) = text.split_once('@') {
            return Ok(Self::Alias(named(name)?, named(alias)?));
        }
        match text.split_once('/') {
            Some((name, version)) => Ok(Self::Version(
                named(name)?,
                version.parse().map_err(|_| wrong())?,
            )),
            None => Ok(Self::Alias(named(text)?, "champion".to_owned())),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(name, version) => write!(f, "{name}/{version}"),
            Self::Alias(name, alias) => write!(f, "{name}@{alias}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_and_aliases() {
        for text in ["reddit/3", "reddit@champion"] {
            assert_eq!(text.parse::<ModelName>().unwrap().to_string(), text);
        }
        assert_eq!(
            "reddit".parse::<ModelName>().unwrap().to_string(),
            "reddit@champion"
        );
        for text in ["", "reddit/", "reddit/x", "@champion", "reddit@"] {
            assert!(text.parse::<ModelName>().is_err(), "{text}");
        }
    }
}
