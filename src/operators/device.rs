//! Where a task computes.

use serde_json::{Map, Value};

use super::{caption, settings};
use crate::{encoders::DeviceSpec, engine::SettingsError};

/// The operators that compute on a device whatever their settings, by their names.
const COMPUTING: [&str; 3] = ["embed", "train", "evaluate"];
/// The setting in which a task names its device, where it is not the home's.
const DEVICE: &str = "device";

/// The device of a task of the operator `op`; none for operators that need none.
///
/// # Errors
///
/// Where the setting `device` names no device.
pub fn device_of(
    op: &str,
    settings: &Map<String, Value>,
    default: DeviceSpec,
) -> Result<Option<DeviceSpec>, SettingsError> {
    let computes = match op {
        "caption" => caption::computes(settings),
        op => COMPUTING.contains(&op),
    };
    if !computes {
        return Ok(None);
    }
    split(settings).map(|(asked, _)| Some(asked.unwrap_or(default)))
}

/// The device that a task's settings name, and the settings without it.
pub(super) fn split(
    settings: &Map<String, Value>,
) -> Result<(Option<DeviceSpec>, Map<String, Value>), SettingsError> {
    let mut rest = settings.clone();
    let asked = match rest.shift_remove(DEVICE) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.parse().map_err(
            |error: crate::encoders::ParseDeviceError| {
                settings::wrong(DEVICE, error.to_string(), None)
            },
        )?),
        Some(other) => {
            return Err(settings::wrong(
                DEVICE,
                format!("`{other}` is not the name of a device"),
                None,
            ));
        }
    };
    Ok((asked, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::encoders::DeviceKind;

    #[test]
    fn a_task_names_its_device_or_takes_the_homes() {
        let of = |op: &str, settings: Value| {
            let settings = settings.as_object().cloned().unwrap_or_default();
            device_of(op, &settings, DeviceSpec::LIBTORCH).map_err(|error| error.to_string())
        };
        let card = json!({ "device": "libtorch:cuda:1" });
        assert_eq!(of("embed", json!({})), Ok(Some(DeviceSpec::LIBTORCH)));
        assert_eq!(
            of("train", card.clone()),
            Ok(Some(DeviceKind::LibTorchCuda(1).into()))
        );
        assert_eq!(of("scrape", card), Ok(None));
        for (captioner, device) in [
            ("none", None),
            ("openai", None),
            ("imagenet-tags", None),
            ("weights/blip", Some(DeviceSpec::LIBTORCH)),
        ] {
            let settings = json!({ "captioner": captioner });
            assert_eq!(of("caption", settings), Ok(device), "{captioner}");
        }
        assert!(of("embed", json!({ "device": "gpu" })).is_err());
        assert!(of("embed", json!({ "device": 3 })).is_err());
    }
}
