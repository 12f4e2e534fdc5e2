//! A head as one safetensors file.
//!
//! The numbers are tensors; everything else is one JSON text in the file's metadata. Equal heads
//! give equal bytes.

use std::collections::HashMap;

use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Classifier, Forest, Head, Linear, Mmrl, Network, network::Shape};
use crate::{
    expression::Membership,
    learning::{
        Error, HeadKind,
        design::Design,
        reference::Reference,
        seeds,
        smearing::Smearing,
        target::{Curve, Reach, TargetScale},
    },
};

/// The key of the JSON text in the file's metadata.
const KEY: &str = "trendmill_head";
/// What this program writes and reads: 2 has trees, 3 is the original's network, 4 has learned where
/// rows stand among others, or from components of vectors, 5 has networks with an attention or
/// that tell the ends of intervals, 6 predicts classes. All others are written as 1, which every
/// program reads.
const FORMATS: [u32; 6] = [1, 2, 3, 4, 5, 6];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_not(whether: &bool) -> bool {
    !*whether
}

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    kind: HeadKind,
    design: Design,
    scale: TargetScale,
    curve: Option<Curve>,
    reach: Reach,
    /// The way on to the number that people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    smearing: Option<Smearing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    intercept: f64,
    blend: f64,
    members: usize,
    hidden: usize,
    residual_blocks: usize,
    /// Whether the members have an attention over their groups.
    #[serde(default, skip_serializing_if = "is_not")]
    attention: bool,
    /// Whether the members tell the ends of intervals.
    #[serde(default, skip_serializing_if = "is_not")]
    quantiles: bool,
    /// What the trees' sum is multiplied with, and their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forest: Option<(f64, usize)>,
    /// What it is beside the head of the first class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Classes>,
}

/// The classes of a head of classes; the heads of all but the first are files within the file.
#[derive(Serialize, Deserialize)]
struct Classes {
    membership: Membership,
    names: Vec<String>,
    threshold: f64,
}

impl Classes {
    /// The name of the tensor that is the file of the head of the class at a place.
    fn tensor(place: usize) -> String {
        format!("classes.{place}")
    }
}

impl Head {
    /// The head as the bytes of a safetensors file; equal heads give equal bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where a name is too long for the format.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, Error> {
        let first = self.members.first();
        let description = Description {
            format: match (&self.forest, &self.mmrl) {
                _ if self.classifier.is_some() => 6,
                _ if first.is_some_and(is_of_five) => 5,
                _ if self.reference.is_some() || self.design.has_components() => 4,
                (_, Some(_)) => 3,
                (Some(_), None) => 2,
                (None, None) => 1,
            },
            kind: self.kind,
            design: self.design.clone(),
            scale: self.scale.clone(),
            curve: self.curve.clone(),
            reach: self.reach,
            smearing: self.smearing.clone(),
            reference: self.reference.clone(),
            intercept: self.linear.intercept,
            blend: self.blend,
            members: self.members.len(),
            hidden: first.map_or(0, |member| member.mix.outputs),
            residual_blocks: first.map_or(0, |member| member.blocks.len()),
            attention: first.is_some_and(|member| member.attention.is_some()),
            quantiles: first.is_some_and(Network::tells_spread),
            forest: self
                .forest
                .as_ref()
                .map(|forest| (forest.share, forest.boosted.trees.len())),
            classes: self.classifier.as_ref().map(|of| Classes {
                membership: of.membership,
                names: of.names.clone(),
                threshold: of.threshold,
            }),
        };
        let text = serde_json::to_string(&description).map_err(format_error)?;

        let mut tensors: Vec<Stored> = Vec::new();
        for (name, values) in self.design.tensors() {
            tensors.push((name, Dtype::F32, values.len(), bytes_of(values)));
        }
        let weights = &self.linear.weights;
        let bytes = weights.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((
            "linear.weights".to_owned(),
            Dtype::F64,
            weights.len(),
            bytes,
        ));
        for (at, mut member) in self.members.iter().cloned().enumerate() {
            for (name, values) in member.tensors_mut() {
                let name = format!("members.{at}.{name}");
                tensors.push((name, Dtype::F32, values.len(), bytes_of(values)));
            }
        }
        if let Some(forest) = &self.forest {
            forest.push_tensors(&mut tensors);
        }
        let mut mmrl = self.mmrl.clone();
        for (name, values) in mmrl.iter_mut().flat_map(Mmrl::tensors_mut) {
            tensors.push((name, Dtype::F32, values.len(), bytes_of(values)));
        }
        let others = self.classifier.iter().flat_map(|of| &of.others);
        for (at, other) in others.enumerate() {
            let bytes = other.to_safetensors()?;
            tensors.push((Classes::tensor(at + 1), Dtype::U8, bytes.len(), bytes));
        }
        file_of(&tensors, KEY, text)
    }

    /// The head that [`to_safetensors`](Self::to_safetensors) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where the bytes are no such file, or a tensor is missing or has another
    /// size.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, Error> {
        let description: Description = description_of(bytes, KEY)?;
        if !FORMATS.contains(&description.format) {
            let (found, [first, .., last]) = (description.format, FORMATS);
            return Err(Error::Format(format!(
                "it has format {found}; this program reads {first} to {last}"
            )));
        }
        let file = SafeTensors::deserialize(bytes).map_err(format_error)?;

        let mut design = description.design;
        design.restore(|name, length| read_f32(&file, name, length))?;
        let weights = read(&file, "linear.weights", Dtype::F64, design.width())?
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect();
        let groups = design.groups();
        let mut members = Vec::with_capacity(description.members.min(1024));
        for at in 0..description.members {
            // Only the shapes are wanted: every number is replaced.
            let mut member = Network::random(
                &groups,
                Shape {
                    hidden: description.hidden,
                    blocks: description.residual_blocks,
                    attention: description.attention,
                    quantiles: description.quantiles,
                },
                &mut seeds::generator(0, "shapes"),
            );
            for (name, values) in member.tensors_mut() {
                let name = format!("members.{at}.{name}");
                *values = read_f32(&file, &name, values.len())?;
            }
            members.push(member);
        }
        let forest = description.forest.map(|(share, trees)| {
            Forest::read(groups, share, trees, |name, kind| tensor(&file, name, kind))
        });
        let mut mmrl = (description.kind == HeadKind::Mmrl).then(|| Mmrl::zeros(design.width()));
        for (name, values) in mmrl.iter_mut().flat_map(Mmrl::tensors_mut) {
            *values = read_f32(&file, &name, values.len())?;
        }
        let classifier = description.classes.map(|of| -> Result<Classifier, Error> {
            let others = (1..of.names.len()).map(|place| {
                Self::from_safetensors(tensor(&file, &Classes::tensor(place), Dtype::U8)?)
            });
            Ok(Classifier {
                others: others.collect::<Result<_, _>>()?,
                membership: of.membership,
                names: of.names,
                threshold: of.threshold,
            })
        });
        Ok(Self {
            kind: description.kind,
            design,
            scale: description.scale,
            curve: description.curve,
            reach: description.reach,
            smearing: description.smearing,
            reference: description.reference,
            linear: Linear {
                weights,
                intercept: description.intercept,
            },
            blend: description.blend,
            members,
            forest: forest.transpose()?,
            mmrl,
            classifier: classifier.transpose()?,
        })
    }
}

/// Whether programs that read formats up to 4 would misread it.
fn is_of_five(member: &Network) -> bool {
    member.attention.is_some() || member.tells_spread()
}

/// A tensor of one dimension that is to be stored: its name, kind, length and bytes.
pub(super) type Stored = (String, Dtype, usize, Vec<u8>);

/// A file of these tensors, with a text under a key of its metadata.
pub(super) fn file_of(tensors: &[Stored], key: &str, text: String) -> Result<Vec<u8>, Error> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, kind, length, bytes) in tensors {
        let view = TensorView::new(*kind, vec![*length], bytes).map_err(format_error)?;
        views.push((name.as_str(), view));
    }
    // One key only: a map of several has no fixed order.
    let metadata = HashMap::from([(key.to_owned(), text)]);
    serialize(views, Some(metadata)).map_err(format_error)
}

/// What the text under a key of a file's metadata tells.
pub(super) fn description_of<T: DeserializeOwned>(bytes: &[u8], key: &str) -> Result<T, Error> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format_error)?;
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(key))
        .ok_or_else(|| Error::Format(format!("its metadata have no `{key}`")))?;
    serde_json::from_str(text).map_err(format_error)
}

/// Numbers as they are stored.
pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of a tensor of one dimension.
pub(super) fn tensor<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    kind: Dtype,
) -> Result<&'a [u8], Error> {
    let tensor = file.tensor(name).map_err(format_error)?;
    if tensor.dtype() != kind || tensor.shape().len() != 1 {
        return Err(Error::Format(format!(
            "its tensor `{name}` is {:?} {:?}, not {kind:?} of one dimension",
            tensor.dtype(),
            tensor.shape(),
        )));
    }
    Ok(tensor.data())
}

pub(super) fn read<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    kind: Dtype,
    length: usize,
) -> Result<&'a [u8], Error> {
    let tensor = file.tensor(name).map_err(format_error)?;
    if tensor.dtype() != kind || tensor.shape() != [length] {
        return Err(Error::Format(format!(
            "its tensor `{name}` is {:?} {:?}, not {kind:?} [{length}]",
            tensor.dtype(),
            tensor.shape(),
        )));
    }
    Ok(tensor.data())
}

pub(super) fn read_f32(
    file: &SafeTensors<'_>,
    name: &str,
    length: usize,
) -> Result<Vec<f32>, Error> {
    let bytes = read(file, name, Dtype::F32, length)?;
    Ok(bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

pub(super) fn format_error(error: impl std::fmt::Display) -> Error {
    Error::Format(error.to_string())
}
