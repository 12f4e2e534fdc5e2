//! What operators may touch.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use url::Url;

use super::Looked;
use crate::{
    corpus::{Fingerprint, MediaLocation},
    encoders::{
        self, Captioner, DeviceSpec, ImageEncoder, Precision, TextEncoder, VisualEncoder,
        WeightsSettings, openai,
    },
    media::{Limits, MediaStore},
    net::{self, FetchSettings, Fetcher},
    registry::Registry,
    sources::{self, ImageSize, Source, SourceTraits},
    store::Store,
};

/// Makes a source of its text, as people write it: `sandbox`, `dump:FILE`, `table:FILE`.
pub type SourceOpener =
    Box<dyn Fn(String) -> BoxFuture<'static, Result<OpenedSource, sources::Error>> + Send + Sync>;

/// A source that is ready to be read.
#[derive(Clone, Debug)]
pub struct OpenedSource {
    /// The source.
    pub source: Arc<dyn Source>,
    /// Which files of its images are taken.
    pub images: ImageSize,
    /// Where hosts of its images really are: a simulated source serves them on loopback.
    pub routes: BTreeMap<String, SocketAddr>,
    /// Fetches its images; a simulated source's may go to loopback.
    pub fetcher: Fetcher,
    /// By record id, the noise-free expected label of a simulated source, on the scale
    /// `log1p(score)`.
    pub truth: Option<Arc<HashMap<String, f64>>>,
}

impl OpenedSource {
    /// Where to ask for an image that is said to be at `location`.
    pub fn route(&self, location: &MediaLocation) -> MediaLocation {
        let MediaLocation::Url(text) = location else {
            return location.clone();
        };
        let routed = Url::parse(text).ok().and_then(|mut url| {
            let address = self.routes.get(url.host_str()?)?;
            url.set_ip_host(address.ip()).ok()?;
            url.set_port(Some(address.port())).ok()?;
            Some(MediaLocation::Url(url.into()))
        });
        routed.unwrap_or_else(|| location.clone())
    }
}

/// Of which sources the records are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepsRaw {
    /// Of live ones.
    pub live: bool,
    /// Of files.
    pub files: bool,
}

impl KeepsRaw {
    /// Whether those of a source are.
    pub(super) const fn of(self, source: SourceTraits) -> bool {
        if source.live { self.live } else { self.files }
    }
}

/// What operators may touch: the store, the registry, the media, the sources and the encoders.
pub struct Environment {
    /// The home's folder, from which on directories of checkpoints are looked for.
    pub home: PathBuf,
    /// The databases.
    pub store: Store,
    /// The model versions.
    pub registry: Registry,
    /// The images' files.
    pub media: MediaStore,
    /// What an image may be.
    pub limits: Limits,
    /// How images are fetched.
    pub fetch: FetchSettings,
    /// Fetches images, once somebody wants one: it reads all of this machine's certificates.
    pub fetcher: OnceLock<Fetcher>,
    /// Where weights are looked for.
    pub weights: WeightsSettings,
    /// The server that writes captions, and what it is asked.
    pub caption_server: openai::Defaults,
    /// Where encoders and training compute, where a task does not say.
    pub device: DeviceSpec,
    /// How long a training works at least between two times at which it puts down how far it is.
    pub checkpoint_interval: Duration,
    /// Makes sources.
    pub open_source: SourceOpener,
    /// Of which sources the records are kept as they came.
    pub keeps_raw: KeepsRaw,
    /// Why no models are made of what may be learned from by permission only; `None` where the
    /// settings say by whose.
    pub not_permitted: Option<&'static str>,
    /// Sources that are open.
    pub sources: tokio::sync::Mutex<BTreeMap<String, OpenedSource>>,
    /// Encoders that are loaded.
    pub loaded: Loaded,
    /// Which files were searched for records that are being purged.
    pub looked: Arc<Mutex<Looked>>,
}

/// By name and device, with what it is exactly.
type Cache<T> = Mutex<HashMap<(String, DeviceSpec), (Fingerprint, Arc<T>)>>;

/// Encoders that are loaded; several tasks of a run share one.
#[derive(Debug, Default)]
pub struct Loaded {
    texts: Cache<TextEncoder>,
    images: Cache<ImageEncoder>,
    captioners: Cache<Captioner>,
    visuals: Cache<VisualEncoder>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// The source of this text, opened once per process.
    ///
    /// # Errors
    ///
    /// Where the text is wrong or the source cannot be had.
    pub async fn source(&self, text: &str) -> Result<OpenedSource, sources::Error> {
        let mut sources = self.sources.lock().await;
        if let Some(opened) = sources.get(text) {
            return Ok(opened.clone());
        }
        let opened = (self.open_source)(text.to_owned()).await?;
        sources.insert(text.to_owned(), opened.clone());
        Ok(opened)
    }

    /// What fetches images.
    ///
    /// # Errors
    ///
    /// Where no client can be made.
    pub fn fetcher(&self) -> Result<&Fetcher, net::Error> {
        if let Some(fetcher) = self.fetcher.get() {
            return Ok(fetcher);
        }
        let fetcher = Fetcher::new(&self.fetch)?;
        Ok(self.fetcher.get_or_init(|| fetcher))
    }

    /// What makes the vectors of an encoder comparable that a pipeline names: one of the catalogue,
    /// or a directory with a checkpoint, from the home on. Blocks while it reads a checkpoint's
    /// files, which it does once per process.
    ///
    /// # Errors
    ///
    /// Where there is no such encoder.
    pub fn fingerprint(&self, name: &str) -> Result<Fingerprint, encoders::Error> {
        encoders::fingerprint(&encoders::written_in(&self.home, name))
    }

    /// What makes the vectors comparable that the encoder of this name makes on `device`.
    ///
    /// # Errors
    ///
    /// Where there is no such encoder.
    pub fn fingerprint_on(
        &self,
        name: &str,
        device: DeviceSpec,
    ) -> Result<Fingerprint, encoders::Error> {
        encoders::fingerprint_on(&encoders::written_in(&self.home, name), device)
    }

    /// The device of this environment, computing as the encoder of this name did when it said
    /// `fingerprint` of itself; `None` where that was another encoder.
    ///
    /// Flex has all digits always: its vectors are those of a device with fewer, but for what these
    /// lack (the cosine is at least 0.999).
    ///
    /// # Errors
    ///
    /// Where there is no such encoder.
    pub fn device_as(
        &self,
        name: &str,
        fingerprint: Fingerprint,
    ) -> Result<Option<DeviceSpec>, encoders::Error> {
        let name = encoders::written_in(&self.home, name);
        let precision = encoders::precision_of(&name, fingerprint)?;
        Ok(precision.map(|precision| self.device_with(precision)))
    }

    /// The device of this environment, computing with these numbers where it can.
    pub(super) fn device_with(&self, precision: Precision) -> DeviceSpec {
        if self.device.computes_in_half() {
            self.device.with_precision(precision)
        } else {
            self.device
        }
    }

    /// The text encoder of this name on this device, loaded once per process. Blocks while it loads.
    ///
    /// # Errors
    ///
    /// Where its weights cannot be had or are wrong.
    pub fn text_encoder(
        &self,
        name: &str,
        device: DeviceSpec,
    ) -> Result<Arc<TextEncoder>, encoders::Error> {
        self.share(&self.loaded.texts, name, device, |name| {
            encoders::load_text(name, &device, &self.weights)
        })
    }

    /// The image encoder of this name on this device, loaded once per process. Blocks while it loads.
    ///
    /// # Errors
    ///
    /// Where its weights cannot be had or are wrong.
    pub fn image_encoder(
        &self,
        name: &str,
        device: DeviceSpec,
    ) -> Result<Arc<ImageEncoder>, encoders::Error> {
        self.share(&self.loaded.images, name, device, |name| {
            encoders::load_image(name, &device, &self.weights)
        })
    }

    /// The captioner of this name or in this directory on this device, loaded once per process. Blocks while it
    /// loads.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    pub fn captioner(
        &self,
        name: &str,
        device: DeviceSpec,
    ) -> Result<Arc<Captioner>, encoders::Error> {
        self.share(&self.loaded.captioners, name, device, |name| {
            encoders::load_captioner(name, &device, &self.weights)
        })
    }

    /// The visual encoder of this directory on this device, loaded once per process. Blocks while it
    /// loads.
    ///
    /// # Errors
    ///
    /// Where its weights cannot be had or are wrong.
    pub fn visual_encoder(
        &self,
        name: &str,
        device: DeviceSpec,
    ) -> Result<Arc<VisualEncoder>, encoders::Error> {
        self.share(&self.loaded.visuals, name, device, |name| {
            encoders::load_visual(name, &device, &self.weights)
        })
    }

    /// Whether an encoder that a pipeline names sees an image together with a text.
    pub fn is_visual(&self, name: &str) -> bool {
        encoders::is_visual(&encoders::written_in(&self.home, name))
    }

    /// What is loaded under a name, unless its files have changed since.
    fn share<T>(
        &self,
        cache: &Cache<T>,
        name: &str,
        device: DeviceSpec,
        load: impl FnOnce(&str) -> Result<T, encoders::Error>,
    ) -> Result<Arc<T>, encoders::Error> {
        let name = encoders::written_in(&self.home, name);
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = encoders::fingerprint(&name)?;
        let key = (name, device);
        if let Some((of, loaded)) = cache.get(&key)
            && *of == fingerprint
        {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(load(&key.0)?);
        cache.insert(key, (fingerprint, Arc::clone(&loaded)));
        Ok(loaded)
    }
}
