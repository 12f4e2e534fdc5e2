//! Trees on what a line leaves over.

use std::ops::Range;

use super::{
    Error, TrainSettings,
    fit::Fit,
    heads::{Forest, Linear},
    trees::{Boosted, Inputs, Lesson, TreeSettings, boost},
    watch::Watch,
};

/// Trees that were tried on the rows to choose by.
pub(super) struct Woods {
    inputs: Inputs,
    learned: Lesson,
    validated: Lesson,
    boosted: Boosted,
}

impl Woods {
    /// Grows trees on what is left of the rows to learn from; `others` are the fits that had not
    /// seen each fold of them, `linear` is the one that had not seen the rows to choose by. Those
    /// tell how many trees there are.
    pub(super) fn grow(
        fit: &Fit,
        others: &[(Range<usize>, Linear)],
        linear: &Linear,
        (left, left_to_validate): (&[f64], &[f64]),
        settings: &TrainSettings,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let trees = &settings.trees;
        let inputs = Inputs::fit(&fit.rows, &fit.groups, &fit.train, trees.components)?;
        let learned = lesson(fit, &inputs, others, left);
        let rows: Vec<_> = fit.validation.iter().map(|&row| (row, linear)).collect();
        let validated = inputs.lesson(&fit.rows, &rows, left_to_validate);
        let boosted = boost(&learned, Some(&validated), trees, settings.seed, watch)?;
        Ok(Self {
            inputs,
            learned,
            validated,
            boosted,
        })
    }

    /// What the trees say of the rows to choose by.
    pub(super) fn of_validation(&self) -> Vec<f64> {
        self.boosted.predict_all(&self.validated)
    }

    /// What as many trees say of each fold that have learned from the others.
    pub(super) fn out_of_fold(
        &self,
        folds: &[Range<usize>],
        settings: &TrainSettings,
        watch: &dyn Watch,
    ) -> Result<Vec<f64>, Error> {
        let mut answers = Vec::with_capacity(self.learned.wanted.len());
        for fold in folds {
            let (rest, unseen) = self.learned.parted(fold);
            let boosted = self.as_many(&rest, settings, watch)?;
            answers.extend(boosted.predict_all(&unseen));
        }
        Ok(answers)
    }

    /// As many trees once more, with the rows to choose by; none where they do not help.
    pub(super) fn grown_again(
        mut self,
        share: f64,
        settings: &TrainSettings,
        watch: &dyn Watch,
    ) -> Result<Option<Forest>, Error> {
        if self.boosted.trees.is_empty() || share == 0.0 {
            return Ok(None);
        }
        let all = std::mem::take(&mut self.learned).and(&self.validated);
        let boosted = self.as_many(&all, settings, watch)?;
        Ok(Some(Forest {
            inputs: self.inputs,
            boosted,
            share,
        }))
    }

    fn as_many(
        &self,
        lesson: &Lesson,
        settings: &TrainSettings,
        watch: &dyn Watch,
    ) -> Result<Boosted, Error> {
        grow_count(lesson, self.boosted.trees.len(), settings, watch)
    }
}

/// So many trees on what is left of all rows to learn from, of whose answer `share` counts.
pub(super) fn forest(
    fit: &Fit,
    others: &[(Range<usize>, Linear)],
    left: &[f64],
    (count, share): (usize, f64),
    settings: &TrainSettings,
    watch: &dyn Watch,
) -> Result<Option<Forest>, Error> {
    if count == 0 || share == 0.0 {
        return Ok(None);
    }
    let inputs = Inputs::fit(
        &fit.rows,
        &fit.groups,
        &fit.train,
        settings.trees.components,
    )?;
    let lesson = lesson(fit, &inputs, others, left);
    let boosted = grow_count(&lesson, count, settings, watch)?;
    Ok(Some(Forest {
        inputs,
        boosted,
        share,
    }))
}

/// The rows to learn from, each under the line that had not seen it.
fn lesson(fit: &Fit, inputs: &Inputs, others: &[(Range<usize>, Linear)], left: &[f64]) -> Lesson {
    let of_fold = |(fold, linear)| {
        let fold: &Range<usize> = fold;
        let rows = fit.train[fold.clone()].iter();
        rows.map(move |&row| (row, linear))
    };
    let rows: Vec<(usize, &Linear)> = others
        .iter()
        .map(|(fold, linear)| (fold, linear))
        .flat_map(of_fold)
        .collect();
    inputs.lesson(&fit.rows, &rows, left)
}

fn grow_count(
    lesson: &Lesson,
    count: usize,
    settings: &TrainSettings,
    watch: &dyn Watch,
) -> Result<Boosted, Error> {
    let trees = TreeSettings {
        count,
        ..settings.trees.clone()
    };
    if count == 0 {
        return Ok(Boosted::default());
    }
    boost(lesson, None, &trees, settings.seed, watch)
}
