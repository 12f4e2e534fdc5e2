//! `[media]`: what images are taken.

use serde_json::Value;

use super::{reader::Reader, setting::Setting};

/// The hosts of Reddit's own images, and the one that most others are at.
const HOSTS: [&str; 4] = [
    "i.redd.it",
    "preview.redd.it",
    "external-preview.redd.it",
    "i.imgur.com",
];

/// What stands for all hosts.
const ANY: &str = "*";

/// Which file of an image is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaSize {
    /// The image as its author uploaded it.
    #[default]
    Original,
    /// A preview, where there is one that is large enough.
    Preview,
}

impl Setting for MediaSize {
    const FORM: &'static str = "`original` or `preview`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "original" => Some(Self::Original),
            "preview" => Some(Self::Preview),
            _ => None,
        }
    }

    fn show(&self) -> Value {
        Value::from(match self {
            Self::Original => "original",
            Self::Preview => "preview",
        })
    }
}

/// What images are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The largest file, in bytes. Default: 25 MB.
    pub max_bytes: u64,
    /// The most pixels, width times height. Default: 50 million.
    pub max_pixels: u64,
    /// The most memory for one image's decoded pixels, in bytes. Default: 256 MiB.
    pub max_alloc: u64,
    /// The only hosts that are asked for the images of Reddit's posts, live, from a dump or from an
    /// archive; `*` among them: all. The images of a table and of a sandbox are not restricted, nor
    /// are `net.allow_addresses`. Default: `i.redd.it`, `preview.redd.it`,
    /// `external-preview.redd.it` and `i.imgur.com`.
    pub hosts: Vec<String>,
    /// Which file of an image is taken of those that Reddit has. It holds for records that are read
    /// from then on. Default: `original`.
    pub size: MediaSize,
    /// How many pixels the shorter side of a preview has at least; where none has, the original is
    /// taken. It should be no smaller than what encoders look at. Default: 384.
    pub preview_side: u64,
    /// The longer side, in pixels, of the copy that is kept of each larger image, so that encoders
    /// can change after `retention.originals` has removed the image itself; 0: none is made. As of
    /// the daemon's start. Default: 640.
    pub copy_side: u64,
}

impl Media {
    /// The only hosts that are asked for the images of Reddit's posts; none: all.
    pub fn only_hosts(&self) -> Option<&[String]> {
        let all = self.hosts.iter().any(|host| host == ANY);
        (!all).then_some(&*self.hosts)
    }

    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            max_bytes: reader.get("media.max_bytes", 25_000_000),
            max_pixels: reader.get("media.max_pixels", 50_000_000),
            max_alloc: reader.get("media.max_alloc", 256 << 20),
            hosts: reader.checked("media.hosts", HOSTS.map(str::to_owned).to_vec(), |hosts| {
                hosts.iter().try_for_each(|host| host_name(host))
            }),
            size: reader.get("media.size", MediaSize::default()),
            preview_side: reader.get("media.preview_side", 384),
            copy_side: reader.get("media.copy_side", 640),
        }
    }
}

fn host_name(text: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text == ANY || (text.contains('.') && text.chars().all(is_name)) {
        return Ok(());
    }
    Err(
        "write names of hosts without scheme, port and path, as `i.redd.it`; `*` for all"
            .to_owned(),
    )
}
