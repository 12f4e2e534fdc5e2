//! What clients ask with: the query of a GET, the JSON of everything else.

use axum::{
    body::Bytes,
    extract::{FromRequest, Query, Request},
    http::Method,
};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The parameters of a request, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if request.method() == Method::GET {
            let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
                .map_err(|rejection| Refusal::invalid(rejection.body_text()))?;
            return Ok(Self::of_pairs(pairs.0));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Refusal::invalid(rejection.body_text()))?;
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(&body) {
            Ok(body) => {
                Self::of(body).ok_or_else(|| Refusal::invalid("the body is JSON but no object"))
            }
            Err(error) => Err(Refusal::invalid(format!("the body is no JSON: {error}"))),
        }
    }
}

impl Asked {
    /// Those of a JSON object.
    pub(super) fn of(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// A name that comes several times is a list.
    fn of_pairs(pairs: Vec<(String, String)>) -> Self {
        let mut map = Map::new();
        for (key, value) in pairs {
            match map.get_mut(&key) {
                Some(Value::Array(values)) => values.push(value.into()),
                Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
                None => {
                    map.insert(key, value.into());
                }
            }
        }
        Self(map)
    }

    /// A text, where it is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A text that must be given.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| {
            Refusal::invalid(format!("Missing value for required parameter '{name}'."))
        })
    }

    /// The run: clients send its id under two names, old ones under one of them.
    pub(super) fn run_id(&self) -> Result<&str, Refusal> {
        self.text("run_id")
            .map_or_else(|| self.needed("run_uuid"), Ok)
    }

    /// A text that may be empty, where it is given.
    pub(super) fn maybe_empty(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A whole number, as JSON or as text.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
        };
        let wrong = || Refusal::invalid(format!("`{name}` is not a whole number"));
        number.map(Some).ok_or_else(wrong)
    }

    /// A number; what JSON cannot write comes as `NaN`, `Infinity` or `-Infinity` in quotes.
    pub(super) fn float(&self, name: &str) -> Result<f64, Refusal> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => {
                let told = format!("Missing value for required parameter '{name}'.");
                return Err(Refusal::invalid(told));
            }
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_f64(),
        };
        number.ok_or_else(|| Refusal::invalid(format!("`{name}` is not a number")))
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, Refusal> {
        let list = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list.clone().into_iter().map(Self::of).collect(),
            Some(_) => None,
        };
        list.ok_or_else(|| Refusal::invalid(format!("`{name}` is not a list of objects")))
    }

    /// Texts; one alone is a list of one.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            _ => Vec::new(),
        }
    }

    /// The number of a model version.
    pub(super) fn version(&self) -> Result<u32, Refusal> {
        let version = self.number("version")?;
        version
            .and_then(|version| u32::try_from(version).ok())
            .ok_or_else(|| Refusal::invalid("Parameter 'version' must be a whole number."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_a_list() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let asked = Asked::of_pairs(vec![
            pair("order_by", "name ASC"),
            pair("max_results", "7"),
            pair("order_by", "version DESC"),
            pair("order_by", "run_id"),
        ]);
        assert_eq!(
            asked.texts("order_by"),
            ["name ASC", "version DESC", "run_id"]
        );
        assert_eq!(asked.number("max_results").unwrap(), Some(7));
        assert_eq!(asked.texts("max_results"), ["7"]);
        assert!(asked.needed("name").is_err());
        assert!(asked.number("order_by").is_err());
    }
}
