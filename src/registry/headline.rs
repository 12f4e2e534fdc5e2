//! The metrics by which people judge a version first.

use serde_json::Value;

/// A metric by its name in JSON and as people call it.
pub type Called = (&'static str, &'static str);

/// The metrics that tables show side by side, the most telling first: those of classes where the
/// evaluation, or the part of one, is of these, else those of numbers.
pub fn headlines(evaluation: &Value) -> [Called; 5] {
    if evaluation["metrics"]["accuracy"].is_number() {
        [
            ("accuracy", "accuracy"),
            ("top3_accuracy", "top 3"),
            ("macro_f1", "macro F1"),
            ("macro_roc_auc", "ROC AUC"),
            ("log_loss", "log loss"),
        ]
    } else {
        [
            ("spearman", "spearman"),
            ("spearman_within", "within"),
            ("r2", "r2"),
            ("mae", "mae"),
            ("rmse", "rmse"),
        ]
    }
}

/// The first of [`headlines`], with a capital: what pages and cards rank by.
pub(super) fn headline(evaluation: &Value) -> Called {
    match headlines(evaluation)[0].0 {
        "accuracy" => ("accuracy", "Accuracy"),
        name => (name, "Spearman"),
    }
}
