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
    /// What is wrong with the files that are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
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
        // One damaged file does not hide the others.
        let (here, fault) = match weights::cached(source(entry), settings) {
            Ok(located) => (located.is_some(), None),
            Err(error) => (false, Some(error.to_string())),
        };
        listed.push(Listed {
            name: entry.name.clone(),
            kind: kind_name(entry.kind),
            dimension: entry.dimension,
            licence: Some(&entry.licence),
            fingerprint: Some(encoders::fingerprint(&entry.name)?.to_string()),
            here,
            fault,
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
        fault: None,
        hashes: None,
        summary: if support.usable {
            format!("Transformers compute in {}", support.device.precision())
        } else {
            support.message
        },
    }));
    let widest = listed.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let lines = rows(&listed, json, |row| {
        let here = match (&row.fault, row.here) {
            (Some(_), _) => "damaged",
            (None, true) => "here",
            (None, false) => "not here",
        };
        let learned = match row.hashes {
            Some("first_use") => " (hashes of the first use)",
            _ => "",
        };
        let dimension = row
            .dimension
            .map_or_else(String::new, |dimension| dimension.to_string());
        let summary = row.fault.as_ref().unwrap_or(&row.summary);
        format!(
            "{:<widest$} {:<9} {:>5} {:<9} {summary}{learned}",
            row.name, row.kind, dimension, here
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

/// One line of `encoders check` on an encoder whose files are not right.
#[derive(Serialize)]
struct Faulty {
    name: String,
    fault: String,
}

/// What `encoders check` found of one encoder.
#[derive(Serialize)]
#[serde(untagged)]
enum Checked {
    Right(Found),
    Wrong(Faulty),
}

pub(super) fn check(
    names: &[String],
    device: DeviceSpec,
    settings: &WeightsSettings,
    json: bool,
) -> Result<Report, Failure> {
    // What no encoder could do anything about.
    device.open().map_err(encoders::Error::from)?;
    let local = WeightsSettings {
        offline: true,
        ..settings.clone()
    };
    let mut checked = Vec::new();
    for entry in chosen(names)? {
        let started = Instant::now();
        let found = match weights::cached(source(entry), &local) {
            Ok(None) if names.is_empty() => continue,
            // Nothing is wrong with files that are not there: the machine lacks them.
            Ok(None) => {
                weights::locate(source(entry), &local)?;
                continue;
            }
            Ok(Some(located)) => loads(entry, device, &local)
                .map(|()| of_located(entry, &located, started))
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        checked.push(match found {
            Ok(found) => Checked::Right(found),
            Err(fault) => Checked::Wrong(Faulty {
                name: entry.name.clone(),
                fault,
            }),
        });
    }
    let faults = checked.iter();
    let faults = faults
        .filter(|one| matches!(one, Checked::Wrong(_)))
        .count();
    let failed = format!("{faults} of {} encoders cannot be used", checked.len());
    Ok(Report {
        lines: rows(&checked, json, |one| match one {
            Checked::Right(found) => found.line(),
            Checked::Wrong(Faulty { name, fault }) => format!("{name:<20} damaged  {fault}"),
        }),
        failed: (faults > 0).then_some(failed),
    })
}

/// Loads an encoder as its users do.
fn loads(
    entry: &Entry,
    device: DeviceSpec,
    settings: &WeightsSettings,
) -> Result<(), encoders::Error> {
    match entry.kind {
        Kind::Text => encoders::load_text(&entry.name, &device, settings).map(drop),
        Kind::Image => encoders::load_image(&entry.name, &device, settings).map(drop),
        Kind::Tagger => encoders::load_tagger(&entry.name, settings).map(drop),
        Kind::Captioner => encoders::load_captioner(&entry.name, &device, settings).map(drop),
        Kind::Visual => encoders::load_visual(&entry.name, &device, settings).map(drop),
    }
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
