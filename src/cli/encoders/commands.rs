//! `list`, `pull` and `check`.

use std::{path::PathBuf, time::Instant};

use serde::Serialize;

use super::{Failure, Report, rows};
use crate::encoders::{
    self, DeviceSpec, DeviceSupport, Kind, WeightsSettings,
    weights::{self, Entry, catalogue},
};

/// One line of `encoders list`.
#[derive(Serialize)]
struct Listed {
    name: String,
    kind: &'static str,
    dimension: Option<usize>,
    licence: Option<&'static str>,
    fingerprint: Option<String>,
    here: bool,
    /// Where the hash of every file comes from; `first_use` where the catalogue does not pin all.
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<&'static str>,
    summary: String,
}

pub(super) fn list(
    devices: Vec<DeviceSupport>,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let mut listed = Vec::new();
    for entry in catalogue::entries() {
        listed.push(Listed {
            name: entry.name.clone(),
            kind: kind_name(entry.kind),
            dimension: entry.dimension,
            licence: Some(&entry.licence),
            fingerprint: Some(encoders::fingerprint(&entry.name)?.to_string()),
            here: weights::cached(source(entry), settings)?.is_some(),
            hashes: Some(hashes(source(entry))),
            summary: entry.summary.clone(),
        });
    }
    listed.extend(devices.into_iter().map(|support| Listed {
        name: support.device.to_string(),
        kind: "device",
        dimension: None,
        licence: None,
        fingerprint: None,
        here: support.usable,
        hashes: None,
        summary: if support.usable {
            format!("Transformers compute in {}", support.device.precision())
        } else {
            support.message
        },
    }));
    let widest = listed.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let lines = rows(&listed, json, |row| {
        let here = if row.here { "here" } else { "not here" };
        let learned = match row.hashes {
            Some("first_use") => " (hashes of the first use)",
            _ => "",
        };
        let dimension = row
            .dimension
            .map_or_else(String::new, |dimension| dimension.to_string());
        format!(
            "{:<widest$} {:<9} {:>5} {:<9} {}{learned}",
            row.name, row.kind, dimension, here, row.summary
        )
    });
    Ok(Report {
        lines,
        failed: None,
    })
}

/// Where the hashes of an entry come from.
fn hashes(entry: &Entry) -> &'static str {
    if entry.is_pinned() {
        "catalogue"
    } else {
        "first_use"
    }
}

/// One line of `encoders pull` and `encoders check`.
#[derive(Serialize)]
struct Found {
    name: String,
    origin: weights::Origin,
    files: Vec<PathBuf>,
    /// The files that the catalogue does not pin and whose hash was learned just now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learned: Vec<String>,
    seconds: f64,
}

impl Found {
    fn line(&self) -> String {
        let folder = self.files.first().and_then(|file| file.parent());
        let folder = folder.map_or_else(String::new, |folder| folder.display().to_string());
        let learned = if self.learned.is_empty() {
            String::new()
        } else {
            let names = self.learned.join(", ");
            format!(
                "  (first use: the hashes of {names} are learned, and must be these from now on)"
            )
        };
        format!("{:<20} {:.2} s  {folder}{learned}", self.name, self.seconds)
    }
}

pub(super) fn pull(
    names: &[String],
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let mut found = Vec::new();
    for entry in chosen(names)? {
        if names.is_empty() && !entry.usual {
            continue;
        }
        let started = Instant::now();
        let located = weights::locate(source(entry), settings)?;
        found.push(of_located(entry, &located, started));
    }
    Ok(Report {
        lines: rows(&found, json, Found::line),
        failed: None,
    })
}

pub(super) fn check(
    names: &[String],
    device: DeviceSpec,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    let local = WeightsSettings {
        offline: true,
        ..settings.clone()
    };
    let mut found = Vec::new();
    for entry in chosen(names)? {
        let started = Instant::now();
        let located = match weights::cached(source(entry), &local)? {
            Some(located) => located,
            None if names.is_empty() => continue,
            None => weights::locate(source(entry), &local)?,
        };
        match entry.kind {
            Kind::Text => drop(encoders::load_text(&entry.name, &device, &local)?),
            Kind::Image => drop(encoders::load_image(&entry.name, &device, &local)?),
            Kind::Tagger => drop(encoders::load_tagger(&entry.name, &local)?),
            Kind::Captioner => drop(encoders::load_captioner(&entry.name, &device, &local)?),
            Kind::Visual => drop(encoders::load_visual(&entry.name, &device, &local)?),
        }
        found.push(of_located(entry, &located, started));
    }
    Ok(Report {
        lines: rows(&found, json, Found::line),
        failed: None,
    })
}

fn of_located(entry: &Entry, located: &weights::Located, started: Instant) -> Found {
    Found {
        name: entry.name.clone(),
        origin: located.origin,
        files: located.files().map(|(_, place)| place.to_owned()).collect(),
        learned: located.learned.clone(),
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// The entries of these names; all where there is none.
fn chosen(names: &[String]) -> Result<Vec<&'static Entry>, Failure> {
    if names.is_empty() {
        return Ok(catalogue::entries().iter().collect());
    }
    names
        .iter()
        .map(|name| {
            catalogue::find(name).ok_or_else(|| {
                let known = catalogue::names(None);
                Failure::Encoder(encoders::Error::Unknown {
                    name: name.clone(),
                    known,
                })
            })
        })
        .collect()
}

/// The entry whose files an entry needs.
pub(super) fn source(entry: &'static Entry) -> &'static Entry {
    entry
        .reads
        .as_deref()
        .and_then(catalogue::find)
        .unwrap_or(entry)
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Image => "image",
        Kind::Tagger => "tagger",
        Kind::Captioner => "captioner",
        Kind::Visual => "visual",
    }
}
