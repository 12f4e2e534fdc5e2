//! The head that is published: what was chosen, learned once more from every row with a label.

use burn::tensor::Device;

use super::{
    Choices, Error, Fitted, HeadKind, TargetKind, TrainSettings,
    fit::Fit,
    heads::{Head, Problem, Stop},
    target::{Curve, TargetScale},
    watch::{Progress, Watch},
    woods::forest,
};
use crate::corpus::FeatureMatrix;

/// Learns the labelled rows of `matrix` with what `fitted` has chosen: the same scale, penalty and
/// weights, as many epochs and trees, the same shares of them.
///
/// A head that is measured must not know the newest rows, and these tell most of tomorrow's. What
/// is published has learned them too; its worth is told by the head that was measured, and later by
/// what becomes of its predictions. Its intervals are as wide as those of `fitted`, on the scale
/// that is learned: no row is left that it has not seen.
///
/// # Errors
///
/// As [`train`](super::train()).
pub fn refit(
    matrix: &FeatureMatrix,
    fitted: &Fitted,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Head, Error> {
    watch.progress(&Progress::Stage("once more, with all rows".to_owned()));
    let choices = &fitted.choices;
    let labelled = matrix.rows.iter().enumerate();
    let labelled = labelled.filter(|(_, row)| row.label.is_some());
    let labelled = labelled.map(|(at, _)| at).collect();
    let fit = Fit::new(matrix, settings, labelled, Vec::new())?;
    if settings.head == HeadKind::Mmrl {
        let mmrl = fit.mmrl(settings, device, watch)?;
        let mut head = Head::of_mmrl(fit.design, mmrl, fitted.head.reach);
        head.reference = fit.reference;
        head.smearing.clone_from(&fitted.head.smearing);
        return Ok(head);
    }
    let Some(of) = &fitted.head.classifier else {
        return once_more(fit, &fitted.head, choices, settings, device, watch);
    };
    let mut heads = Vec::with_capacity(of.names.len());
    for (at, name) in of.names.iter().enumerate() {
        watch.progress(&Progress::Stage(format!("class {name} once more")));
        let fit = fit.of_class(&matrix.rows, name);
        let (head, choices) = (fitted.head.of_class(at), &choices.classes[at].choices);
        let head = once_more(fit, head, choices, settings, device, watch)?;
        heads.push((name.clone(), head));
    }
    Ok(Head::of_classes((of.membership, of.threshold), heads))
}

/// Learns the rows of `fit` with what was chosen for `evaluated`.
fn once_more(
    fit: Fit,
    evaluated: &Head,
    choices: &Choices,
    settings: &TrainSettings,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Head, Error> {
    let targets = fit.targets(&fit.train);
    let scale = match choices.target {
        TargetKind::Rank => TargetScale::rank(&targets),
        TargetKind::Standard | TargetKind::Auto => TargetScale::standard(&targets),
    };
    let scaled = scale.all_scaled(&targets);
    let strength = fit.strength(choices);
    let problem = Problem::new(&fit.rows, &fit.groups, &fit.train, None);
    let others = problem.fits_of_others(&scaled, &strength)?;
    let linear = problem.fit(&scaled, &strength)?;
    drop(problem);
    let mut unseen = Vec::with_capacity(scaled.len());
    for (fold, linear) in &others {
        unseen.extend(linear.predict_all(&fit.rows, &fit.train[fold.clone()]));
    }
    let odds = fit.odds(&unseen);
    let rest = fit.rest(&fit.train, (&scaled, &unseen), odds.as_ref());
    let stops: Vec<Stop<'_>> = choices.epochs.iter().copied().map(Stop::After).collect();
    let members = fit.members(settings, &rest, &stops, device, watch)?;
    let forest = forest(&fit, &others, &rest.left, choices.trees, settings, watch)?;
    let curve = evaluated
        .curve
        .is_some()
        .then(|| Curve::fit(&unseen, &targets));
    Ok(Head {
        kind: settings.head,
        design: fit.design,
        scale,
        curve,
        smearing: evaluated.smearing.clone(),
        reference: fit.reference,
        reach: evaluated.reach,
        linear,
        blend: choices.blend,
        members: members.into_iter().map(|member| member.network).collect(),
        forest,
        mmrl: None,
        classifier: None,
    })
}
