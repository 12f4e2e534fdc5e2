//! What a `merge` task is asked for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::settings;
use crate::{engine::SettingsError, expression::Expression, learning::MetadataSchema};

/// What a pipeline file asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// By block: the task whose vectors it holds.
    pub(super) blocks: BTreeMap<String, String>,
    /// Metadata that become numbers.
    #[serde(default)]
    pub(super) numbers: Vec<String>,
    /// Metadata that become categories.
    #[serde(default)]
    pub(super) categories: Vec<String>,
    /// The target, an expression over the label's reading and the record.
    pub(super) target: String,
    /// An expression that orders records without a time.
    #[serde(default)]
    pub(super) order: String,
}

impl Settings {
    pub(super) fn metadata(&self) -> Result<MetadataSchema, SettingsError> {
        MetadataSchema::new(&self.numbers, &self.categories)
            .map_err(|error| settings::wrong("numbers", error.to_string(), None))
    }

    pub(super) fn target(&self) -> Result<Expression, SettingsError> {
        Expression::compile(&self.target)
            .map_err(|error| settings::wrong("target", error.to_string(), None))
    }

    pub(super) fn order(&self) -> Result<Option<Expression>, SettingsError> {
        if self.order.is_empty() {
            return Ok(None);
        }
        let order = Expression::compile(&self.order)
            .map_err(|error| settings::wrong("order", error.to_string(), None))?;
        if order.is_target_only() {
            let message = format!("`{}` is for targets; an order is a plain value", self.order);
            return Err(settings::wrong("order", message, None));
        }
        Ok(Some(order))
    }

    /// # Errors
    ///
    /// The first setting that cannot be right, or does not go with another.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.order()?;
        let (metadata, target) = (self.metadata()?, self.target()?);
        if metadata.needs_labels() && target.membership().is_some() {
            return Err(settings::wrong(
                "numbers",
                "`community_history` and `author_history` are histories of numbers, and the target \
                 gives classes",
                Some("leave them out".to_owned()),
            ));
        }
        let asked = metadata.similarities();
        let mut asked = asked.into_iter().flat_map(|(a, b)| [a, b]);
        if let Some(block) = asked.find(|block| !self.blocks.contains_key(*block)) {
            let known: Vec<&str> = self.blocks.keys().map(String::as_str).collect();
            return Err(settings::wrong(
                "numbers",
                format!("a similarity is asked of `{block}`, which is none of the blocks"),
                format!("blocks: {}", known.join(", ")),
            ));
        }
        Ok(())
    }
}
