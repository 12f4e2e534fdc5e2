//! How far a training is, as bytes.
//!
//! A safetensors file: the weights after the last pass, the best ones, their average and the
//! optimizer's moments are tensors, as is the order of the rows; the rest is one JSON text. A
//! training that goes on from it computes what it would have computed.

use std::{cell::OnceCell, time::Duration};

use burn::{
    module::{Module as _, ModuleMapper, ModuleVisitor, Param, ParamId},
    optim::OptimizerRecord,
    tensor::{Bytes, Device, Tensor, TensorData},
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    average::Average,
    bundle::{Stored, bytes_of, description_of, file_of, format_error, read, read_f32, tensor},
    course::Course,
    fusion::Fusion,
    network::Network,
    training::{Epoch, Stop, Task},
};
use crate::{
    corpus::ContentHash,
    learning::{Checkpoints, Error, TrainSettings, watch::Watch},
};

/// The key of the JSON text in the file's metadata.
const KEY: &str = "trendmill_training";
/// What this program writes and reads; another one begins anew.
const FORMAT: u32 = 1;

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Description {
    key: String,
    epoch: usize,
    least: Option<f64>,
    best_epoch: usize,
    since: usize,
    history: Vec<Epoch>,
    /// Of how many steps the average is, where there is one.
    averaged: Option<usize>,
    /// The generator's seed and how many of its words are used up; as text, for it is a `u128`.
    seed: [u8; 32],
    words: String,
    /// By which numbers the optimizer knows the weights, in their order.
    parameters: Vec<u64>,
}

/// Finds what an interrupted training has kept, and keeps how far this one is.
pub(super) struct Keeper<'a, F> {
    checkpoints: Option<&'a dyn Checkpoints>,
    /// Made when it is needed: it takes a look at every number that is learned from.
    key: OnceCell<String>,
    make_key: F,
    /// When something was kept last, or the training began.
    last: Duration,
    /// After which pass something was kept.
    kept: Option<usize>,
}

impl<'a, F: Fn() -> String> Keeper<'a, F> {
    pub(super) fn new(watch: &'a dyn Watch, make_key: F) -> Self {
        let checkpoints = watch.checkpoints();
        Self {
            last: checkpoints.map_or(Duration::ZERO, Checkpoints::time),
            checkpoints,
            key: OnceCell::new(),
            make_key,
            kept: None,
        }
    }

    fn key(&self) -> &str {
        self.key.get_or_init(&self.make_key)
    }

    /// The training that `begun` is, as far as it came before; nothing where nothing was kept.
    pub(super) fn find(&mut self, begun: &Course, device: &Device) -> Option<Course> {
        let checkpoints = self.checkpoints.filter(|kept| !kept.is_empty())?;
        let found = checkpoints.find(self.key())?;
        match begun.restored(&found, self.key(), device) {
            Ok(course) => {
                self.kept = Some(course.epoch);
                Some(course)
            }
            Err(error) => {
                let why = match error {
                    Error::Format(why) => why,
                    other => other.to_string(),
                };
                checkpoints.refuse(self.key(), &why);
                None
            }
        }
    }

    /// Keeps how far a training is, unless that was done a short while ago.
    pub(super) fn keep_if_due(&mut self, course: &Course) -> Result<(), Error> {
        let Some(checkpoints) = self.checkpoints else {
            return Ok(());
        };
        if checkpoints.time().saturating_sub(self.last) < checkpoints.interval() {
            return Ok(());
        }
        self.keep(checkpoints, course)
    }

    /// Keeps where a training has ended, so that it is not done again when what follows is
    /// interrupted; a short one is.
    pub(super) fn end(&mut self, course: &Course) -> Result<(), Error> {
        match (self.checkpoints, self.kept) {
            (Some(checkpoints), Some(epoch)) if epoch != course.epoch => {
                self.keep(checkpoints, course)
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, checkpoints: &dyn Checkpoints, course: &Course) -> Result<(), Error> {
        checkpoints.keep(self.key(), &course.to_checkpoint(self.key())?);
        self.last = checkpoints.time();
        self.kept = Some(course.epoch);
        Ok(())
    }
}

/// The hash of all that the training of a network depends on.
pub(super) fn key(
    task: &Task<'_>,
    stop: Stop<'_>,
    settings: &TrainSettings,
    member: usize,
    device: &Device,
) -> String {
    let mut digest = Sha256::new();
    let groups = task.groups.iter();
    let groups: Vec<_> = groups.map(|group| (group.start, group.width)).collect();
    let (validation, epochs) = match stop {
        Stop::Validated(wanted) => (Some(wanted), None),
        Stop::After(epochs) => (None, Some(epochs)),
    };
    let parts = || std::iter::once(task.train).chain(validation);
    let rows: Vec<usize> = parts().map(|part| part.rows.len()).collect();
    let whole = json!({
        "format": FORMAT,
        "program": env!("CARGO_PKG_VERSION"),
        "device": format!("{device:?}"),
        "settings": settings,
        "member": member,
        "groups": groups,
        "rows": rows,
        "epochs": epochs,
    });
    digest.update(whole.to_string());
    for part in parts() {
        for (&row, wanted) in part.rows.iter().zip(part.targets) {
            digest.update(bytes_of(task.design.row(row)));
            digest.update(wanted.to_le_bytes());
        }
        for odds in part.odds.unwrap_or_default() {
            digest.update(odds.to_le_bytes());
        }
    }
    ContentHash::of(digest.finalize()).to_string()
}

impl Course {
    /// How far it is.
    fn to_checkpoint(&self, key: &str) -> Result<Vec<u8>, Error> {
        let description = Description {
            key: key.to_owned(),
            epoch: self.epoch,
            least: self.least,
            best_epoch: self.best_epoch,
            since: self.since,
            history: self.history.clone(),
            averaged: self.average.as_ref().map(Average::steps),
            seed: self.generator.get_seed(),
            words: self.generator.get_word_pos().to_string(),
            parameters: parameters(&self.model),
        };
        let text = serde_json::to_string(&description).map_err(format_error)?;
        let order = self.order.iter();
        let order: Vec<u8> = order.flat_map(|&at| (at as u64).to_le_bytes()).collect();
        let moments = self.optimizer.into_bytes().map_err(format_error)?.to_vec();
        let mut tensors: Vec<Stored> = vec![
            ("order".to_owned(), Dtype::U64, self.order.len(), order),
            ("moments".to_owned(), Dtype::U8, moments.len(), moments),
        ];
        let average = self.average.as_ref();
        let networks = [
            ("model", Some(self.model.to_plain())),
            ("best", Some(self.best.clone())),
            ("average", average.map(|of| of.to_plain(&self.model))),
        ];
        for (whose, network) in networks {
            for (name, values) in network.into_iter().flat_map(owned) {
                let name = format!("{whose}.{name}");
                tensors.push((name, Dtype::F32, values.len(), bytes_of(&values)));
            }
        }
        file_of(&tensors, KEY, text)
    }

    /// The training that this one is the beginning of, as far as it was when it was kept.
    fn restored(&self, bytes: &[u8], key: &str, device: &Device) -> Result<Self, Error> {
        let description: Description = description_of(bytes, KEY)?;
        if description.key != key {
            return Err(Error::Format("it is of another training".to_owned()));
        }
        let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
        let network = |whose: &str| {
            let mut network = self.best.clone();
            for (name, values) in network.tensors_mut() {
                *values = read_f32(&file, &format!("{whose}.{name}"), values.len())?;
            }
            Ok::<_, Error>(network)
        };
        let order = read(&file, "order", Dtype::U64, self.order.len())?;
        let order = order.as_chunks::<8>().0.iter();
        let words = description.words.parse().map_err(format_error)?;
        let mut generator = ChaCha8Rng::from_seed(description.seed);
        generator.set_word_pos(words);

        let model = Fusion::from_plain(&network("model")?, &device.clone().autodiff());
        let model = with_parameters(model, description.parameters);
        let moments = Bytes::from_bytes_vec(tensor(&file, "moments", Dtype::U8)?.to_vec());
        let moments = OptimizerRecord::from_bytes(moments).map_err(format_error)?;
        let flat = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        let average = match (&self.average, description.averaged) {
            (Some(begun), Some(steps)) => {
                let weights = owned(network("average")?).map(|(_, values)| flat(values));
                Some(begun.after(steps, weights.collect()))
            }
            _ => None,
        };
        Ok(Self {
            model,
            optimizer: self.optimizer.clone().load_record(moments),
            average,
            generator,
            order: order.map(|at| u64::from_le_bytes(*at) as usize).collect(),
            epoch: description.epoch,
            best: network("best")?,
            least: description.least,
            best_epoch: description.best_epoch,
            since: description.since,
            history: description.history,
        })
    }
}

/// The numbers of a network with their names.
fn owned(mut network: Network) -> impl Iterator<Item = (String, Vec<f32>)> {
    let tensors = network.tensors_mut().into_iter();
    let tensors: Vec<_> = tensors
        .map(|(name, values)| (name, std::mem::take(values)))
        .collect();
    tensors.into_iter()
}

/// By which numbers an optimizer knows the weights of a network.
fn parameters(model: &Fusion) -> Vec<u64> {
    struct Names(Vec<u64>);

    impl ModuleVisitor for Names {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.push(parameter.id.val());
        }
    }

    let mut names = Names(Vec::new());
    model.visit(&mut names);
    names.0
}

/// The same network, known by these numbers.
fn with_parameters(model: Fusion, parameters: Vec<u64>) -> Fusion {
    struct Named(std::vec::IntoIter<u64>);

    impl ModuleMapper for Named {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (known, tensor, mapper) = parameter.consume();
            let id = self.0.next().map_or(known, ParamId::from);
            Param::from_mapped_value(id, tensor, mapper)
        }
    }

    model.map(&mut Named(parameters.into_iter()))
}
