//! Residual networks as timm and torchvision have them: `ResNet`, wide `ResNet`, `ResNeXt`.

mod checkpoint;
mod model;

use std::path::Path;

use burn::tensor::Device;

pub(super) use model::ResNet;

use super::{Error, maps::MapPool, timm::TimmConfig};

/// Whether an architecture of timm is of this family: those with another stem or another way down
/// have letters behind their number.
pub(super) fn is_of_family(architecture: &str) -> bool {
    let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |rest: &str, between: char| {
        rest.split_once('_').is_some_and(|(depth, width)| {
            let mut widths = width.trim_end_matches('d').split(between);
            plain(depth) && widths.all(plain)
        })
    };
    if let Some(rest) = architecture.strip_prefix("wide_resnet") {
        pair(rest, '_')
    } else if let Some(rest) = architecture.strip_prefix("resnext") {
        pair(rest, 'x')
    } else {
        architecture.strip_prefix("resnet").is_some_and(plain)
    }
}

/// The network of the file `path`, on `device`.
pub(super) fn load(config: &TimmConfig, path: &Path, device: &Device) -> Result<ResNet, Error> {
    let refused = [
        "output_stride",
        "stem_type",
        "aa_layer",
        "act_layer",
        "norm_layer",
    ]
    .into_iter()
    .find(|name| config.is_given(name));
    if let Some(name) = refused {
        return Err(Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("it was built with `{name}`, which cannot be computed"),
        });
    }
    let pool = MapPool::of(config).map_err(|reason| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    })?;
    Ok(ResNet::fold(checkpoint::read(path)?, pool, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_family() {
        for name in [
            "resnet18",
            "resnet152",
            "wide_resnet50_2",
            "resnext50_32x4d",
        ] {
            assert!(is_of_family(name), "{name}");
        }
        for name in [
            "resnet",
            "resnet18d",
            "resnetv2_50",
            "resnet50_gn",
            "seresnet50",
        ] {
            assert!(!is_of_family(name), "{name}");
        }
    }
}
