//! `[encoders]`: where models run and where their weights come from.

use std::path::PathBuf;

use super::{Secret, folder_or, reader::Reader};

/// Where models run and where their weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoders {
    /// Where models run: `flex`, `libtorch`, `libtorch:cuda:0`, … Default: `flex`.
    pub device: String,
    /// Never ask the network for weights. Also `HF_HUB_OFFLINE`. Default: false.
    pub offline: bool,
    /// Where weights are kept that come from elsewhere than the hub. Default: `trendmill` in the
    /// user's folder for caches.
    pub cache_dir: PathBuf,
    /// The hub's own folder, whose `hub` holds its cache. Also `HF_HOME`. Default: `huggingface`
    /// in the user's folder for caches.
    pub hf_home: PathBuf,
    /// The hub's address, without a slash at its end. Also `HF_ENDPOINT`.
    pub hf_endpoint: String,
    /// The token that the hub is asked with. Also `HF_TOKEN`.
    pub hf_token: Option<Secret>,
}

impl Encoders {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let below = |folder: &str| reader.cache().map(|cache| cache.join(folder));
        let cache_dir = folder_or(below("trendmill"), "data/cache/weights");
        let hf_home = folder_or(below("huggingface"), "data/cache/huggingface");
        let endpoint = "https://huggingface.co".to_owned();
        Self {
            device: reader.get("encoders.device", "flex".to_owned()),
            offline: reader.get("encoders.offline", false),
            cache_dir: reader.get("encoders.cache_dir", cache_dir),
            hf_home: reader.get("encoders.hf_home", hf_home),
            hf_endpoint: reader
                .checked("encoders.hf_endpoint", endpoint, |text: &String| {
                    if text.starts_with("https://") || text.starts_with("http://") {
                        return Ok(());
                    }
                    Err("write an address that begins with `https://`".to_owned())
                })
                .trim_end_matches('/')
                .to_owned(),
            hf_token: reader.get("encoders.hf_token", None),
        }
    }
}
