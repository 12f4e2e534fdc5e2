//! What the settings mean for the layers that do not read them.

use super::{App, Error};
use crate::{
    artifacts,
    config::{self, MediaSize, RawKept, Settings},
    encoders::{DeviceSpec, ParseDeviceError, WeightsSettings, openai},
    engine::{DiskRoom, Slots},
    media::Limits,
    net::{FetchSettings, NetSettings},
    operators::KeepsRaw,
    sources::ImageSize,
};

impl App {
    /// The settings of a home, from its file and the environment of this process.
    ///
    /// # Errors
    ///
    /// Every unknown key and wrong value, with its place and what is allowed.
    pub fn settings_of(home: &std::path::Path) -> Result<Settings, Error> {
        Settings::load(home, std::env::vars()).map_err(|error| match error {
            config::Error::Wrong(_) => Error::wrong(error.to_string(), None),
            config::Error::Read(_) => Error::unfit(error.to_string(), None),
        })
    }

    /// How many tasks may run at once.
    pub fn slots(&self) -> Slots {
        slots(self.settings())
    }

    /// The room on the disk of the databases.
    pub fn disk(&self) -> DiskRoom {
        let free = artifacts::space(self.home()).ok().map(|space| space.free);
        DiskRoom::of(free, self.settings().engine.disk_reserve.0)
    }
}

/// How many tasks may run at once.
pub(super) fn slots(settings: &Settings) -> Slots {
    let engine = &settings.engine;
    Slots {
        parallelism: engine.parallelism,
        pools: engine.pools.clone(),
        disk_reserve: engine.disk_reserve.0,
    }
}

/// Of which sources the records are kept as they came.
pub(super) const fn keeps_raw(settings: &Settings) -> KeepsRaw {
    let is_kept = !matches!(settings.retention.raw, RawKept::Never);
    KeepsRaw {
        live: is_kept,
        files: is_kept && settings.retention.raw_dumps,
    }
}

/// How other machines are asked.
pub(super) fn net(settings: &Settings) -> NetSettings {
    let net = &settings.net;
    NetSettings {
        contact: net.contact.clone(),
        connect_timeout: net.connect_timeout,
        idle_timeout: net.idle_timeout,
        total_timeout: net.total_timeout,
        redirects: net.redirects,
    }
}

/// How the images of Reddit's posts are fetched, which come from anywhere.
pub(super) fn fetch_of_reddit(settings: &Settings) -> FetchSettings {
    FetchSettings {
        hosts: settings.media.only_hosts().map(<[String]>::to_vec),
        ..fetch(settings)
    }
}

/// Which file is taken of an image that Reddit has.
pub(super) fn image_size(settings: &Settings) -> ImageSize {
    match settings.media.size {
        MediaSize::Original => ImageSize::Original,
        MediaSize::Preview => ImageSize::Preview(settings.media.preview_side),
    }
}

/// How images are fetched.
pub(super) fn fetch(settings: &Settings) -> FetchSettings {
    FetchSettings {
        net: net(settings),
        max_bytes: settings.net.max_bytes,
        allow_addresses: settings.net.allow_addresses.clone(),
        hosts: None,
        per_host: settings.net.per_host,
        at_once: settings.net.concurrency,
        use_proxy: settings.net.use_proxy,
    }
}

/// What images are taken.
pub(super) fn limits(settings: &Settings) -> Limits {
    let media = &settings.media;
    Limits {
        max_bytes: media.max_bytes,
        max_pixels: media.max_pixels,
        max_alloc: media.max_alloc,
    }
}

/// Where weights are looked for.
pub fn weights(settings: &Settings) -> WeightsSettings {
    let encoders = &settings.encoders;
    WeightsSettings {
        offline: encoders.offline,
        hf_home: encoders.hf_home.clone(),
        hf_endpoint: encoders.hf_endpoint.clone(),
        hf_token: encoders.hf_token.as_deref().map(str::to_owned),
        cache_dir: encoders.cache_dir.clone(),
    }
}

/// The server that writes captions, and what it is asked where a task does not say.
pub fn captioner(settings: &Settings) -> openai::Defaults {
    let found = &settings.captioner.openai;
    openai::Defaults {
        server: found.base_url.as_ref().map(|url| openai::Server {
            base_url: url.as_str().to_owned(),
            key: found.api_key.clone(),
            net: net(settings),
        }),
        model: found.model.clone(),
        prompt: found.prompt.clone(),
        max_tokens: found.max_tokens,
        max_side: found.max_side,
        manners: openai::Manners {
            concurrency: found.concurrency,
            request_timeout: found.request_timeout,
            limits: limits(settings),
        },
        budget: found.budget,
    }
}

/// Where encoders and training compute, where a task does not say.
///
/// # Errors
///
/// Where the setting names no device.
pub fn device(settings: &Settings) -> Result<DeviceSpec, Error> {
    let wrong = |error: ParseDeviceError| Error::wrong(format!("encoders.device: {error}"), None);
    settings.encoders.device.parse().map_err(wrong)
}
