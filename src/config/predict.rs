//! `[predict]`: the process that predicts for callers of the daemon.

use std::time::Duration;

use super::reader::Reader;

/// The process that predicts for callers of the daemon. It starts with the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predict {
    /// It leaves, and gives its memory back, when nobody has asked it for so long. Default: 5
    /// minutes.
    pub idle: Duration,
    /// One that has not answered after so long is taken for hung: it is ended, and the caller is
    /// told. The first answer of a model counts the loading of its encoders. Default: 5 minutes.
    pub timeout: Duration,
}

impl Predict {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let minutes = Duration::from_mins;
        Self {
            idle: reader.checked("predict.idle", minutes(5), some_time),
            timeout: reader.checked("predict.timeout", minutes(5), some_time),
        }
    }
}

fn some_time(time: &Duration) -> Result<(), String> {
    if time.is_zero() {
        return Err("write a time that is not zero, as in `5m`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn a_time_that_is_none_is_refused() {
        let of = |text: &str| Settings::from_layers(&format!("[predict]\nidle = \"{text}\""), []);
        assert_eq!(of("30s").unwrap().predict.idle.as_secs(), 30);
        let problems = of("0s").unwrap_err();
        assert!(
            problems[0].to_string().contains("predict.idle"),
            "{problems:?}"
        );
    }
}
