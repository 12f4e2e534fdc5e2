//! Trainings that are interrupted and go on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use burn::tensor::Device;

use super::{Planted, matrix, settings};
use crate::{
    corpus::FeatureMatrix,
    learning::{Checkpoints, Error, HeadKind, Progress, TrainSettings, Watch, refit, train},
};

/// Keeps how far trainings are after every pass, and ends them after so many.
#[derive(Default)]
struct Desk {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    refused: Mutex<Vec<String>>,
    interval: Duration,
    passes: AtomicUsize,
    /// After how many passes trainings are cancelled; 0: never.
    ends_after: usize,
}

impl Watch for Desk {
    fn progress(&self, progress: &Progress) {
        if let Progress::Epoch { .. } = progress {
            self.passes.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn cancelled(&self) -> bool {
        self.ends_after > 0 && self.passes.load(Ordering::SeqCst) >= self.ends_after
    }

    fn checkpoints(&self) -> Option<&dyn Checkpoints> {
        Some(self)
    }
}

impl Checkpoints for Desk {
    fn is_empty(&self) -> bool {
        self.kept.lock().unwrap().is_empty()
    }

    fn find(&self, key: &str) -> Option<Vec<u8>> {
        self.kept.lock().unwrap().get(key).cloned()
    }

    fn refuse(&self, _key: &str, why: &str) {
        self.refused.lock().unwrap().push(why.to_owned());
    }

    fn time(&self) -> Duration {
        Duration::ZERO
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn keep(&self, key: &str, checkpoint: &[u8]) {
        let mut kept = self.kept.lock().unwrap();
        kept.insert(key.to_owned(), checkpoint.to_vec());
    }
}

impl Desk {
    /// One with what another has kept.
    fn with(kept: BTreeMap<String, Vec<u8>>, ends_after: usize) -> Self {
        Self {
            kept: Mutex::new(kept),
            ends_after,
            ..Self::default()
        }
    }

    fn passes(&self) -> usize {
        self.passes.load(Ordering::SeqCst)
    }
}

/// The bytes of the head that is measured and of the one that is published.
fn heads(
    matrix: &FeatureMatrix,
    settings: &TrainSettings,
    desk: &Desk,
) -> Result<[Vec<u8>; 2], Error> {
    let device = Device::flex();
    let fitted = train(matrix, settings, &device, desk)?;
    let published = refit(matrix, &fitted, settings, &device, desk)?;
    let bytes = [&fitted.head, &published].map(|head| head.to_safetensors().unwrap());
    Ok(bytes)
}

#[test]
fn what_was_interrupted_anywhere_ends_with_the_same_bytes() {
    let matrix = matrix(Planted::Product);
    for (head, ema) in [(HeadKind::FusionMlp, 0.0), (HeadKind::Stack, 0.9)] {
        let mut settings = TrainSettings {
            members: 2,
            epochs: 3,
            ema,
            ..settings(head)
        };
        settings.trees.count = 20;
        let undisturbed = Desk::default();
        let wanted = heads(&matrix, &settings, &undisturbed).unwrap();
        let whole = undisturbed.passes();
        for ends_after in [1, whole / 2, whole - 3] {
            let first = Desk::with(BTreeMap::new(), ends_after);
            let ended = heads(&matrix, &settings, &first);
            assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
            let kept = first.kept.into_inner().unwrap();
            let second = Desk::with(kept, 0);
            let found = heads(&matrix, &settings, &second).unwrap();
            assert_eq!(found, wanted, "{head:?}, {ends_after} of {whole}");
            assert!(second.passes() <= whole - ends_after, "{}", second.passes());
            assert!(second.refused.into_inner().unwrap().is_empty());
        }
    }
}

#[test]
fn what_is_cut_off_or_of_another_training_is_not_used() {
    let matrix = matrix(Planted::Product);
    let settings = TrainSettings {
        epochs: 4,
        ..settings(HeadKind::FusionMlp)
    };
    let first = Desk::with(BTreeMap::new(), 2);
    heads(&matrix, &settings, &first).unwrap_err();
    let kept = first.kept.into_inner().unwrap();
    assert_eq!(kept.len(), 1);
    let anew = Desk::default();
    let wanted = heads(&matrix, &settings, &anew).unwrap();
    let whole = anew.passes();

    // A file that is cut off, and one that stands under another's name.
    let cut: fn(&[u8], &str) -> Vec<u8> = |bytes, _| bytes[..bytes.len() - 5].to_vec();
    let renamed: fn(&[u8], &str) -> Vec<u8> = |bytes, key| {
        let at = bytes.windows(key.len()).position(|at| at == key.as_bytes());
        let mut bytes = bytes.to_vec();
        bytes[at.unwrap()..][..key.len()].fill(b'0');
        bytes
    };
    for is_cut in [true, false] {
        let damaged = kept.iter().map(|(key, bytes)| {
            let damage = if is_cut { cut } else { renamed };
            (key.clone(), damage(bytes, key))
        });
        let desk = Desk::with(damaged.collect(), 0);
        assert_eq!(heads(&matrix, &settings, &desk).unwrap(), wanted);
        assert_eq!(desk.passes(), whole);
        assert_eq!(desk.refused.into_inner().unwrap().len(), 1);
    }

    // Other settings, other rows.
    let slower = TrainSettings {
        learning_rate: 1e-3,
        ..settings.clone()
    };
    let mut others = matrix.clone();
    others.rows[3].label.as_mut().unwrap().target += 1.0;
    for (matrix, settings) in [(&matrix, &slower), (&others, &settings)] {
        let [anew, desk] = [BTreeMap::new(), kept.clone()].map(|kept| Desk::with(kept, 0));
        let wanted = heads(matrix, settings, &anew).unwrap();
        assert_eq!(heads(matrix, settings, &desk).unwrap(), wanted);
        assert_eq!(desk.passes(), anew.passes());
    }
}

#[test]
fn a_short_training_keeps_nothing() {
    let desk = Desk {
        interval: Duration::from_secs(30),
        ..Desk::default()
    };
    let settings = TrainSettings {
        epochs: 2,
        ..settings(HeadKind::FusionMlp)
    };
    heads(&matrix(Planted::Line), &settings, &desk).unwrap();
    assert!(desk.is_empty());
}
