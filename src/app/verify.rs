//! Whether a model version is what was published, and says what it said.

use super::{App, Error};
use crate::{
    learning::Head,
    registry::{ModelVersion, ProbeAnswer},
};

/// By how much two computations of one number may differ, of its size or of 1: processors add in
/// different orders.
const TOLERANCE: f64 = 1e-6;

/// What was found of a version whose files are whole.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The version.
    pub version: ModelVersion,
    /// How many of its probes were predicted again, and gave what they gave.
    pub probes: usize,
    /// Why it cannot be made again, where it cannot.
    pub reason: Option<String>,
}

impl App {
    /// Reads all files of a version, holds them against their hashes, and predicts its probes again.
    ///
    /// # Errors
    ///
    /// Where there is no such version, a file is missing or damaged, or a probe gives another
    /// number than it gave.
    pub async fn verify_version(&self, model: &str) -> Result<Verified, Error> {
        let version = self.registry().resolve(&model.parse()?).await?;
        version.evaluated_rows()?;
        let published = version.weights()?;
        let evaluated = version.evaluated_weights()?;
        let mut count = 0;
        if let Some(probes) = version.probes()? {
            let predict = |weights: &[u8]| {
                let head = Head::from_safetensors(weights)?;
                head.predict(&probes.matrix)
            };
            let failed = |error: crate::learning::Error| Error::Failed(error.to_string());
            let found = predict(&published).map_err(failed)?.into_iter();
            let found = found.zip(predict(&evaluated).map_err(failed)?);
            for (answer, (published, evaluated)) in probes.answers.iter().zip(found) {
                same(answer, published.value, evaluated.value)?;
                count += 1;
            }
        }
        Ok(Verified {
            reason: version.not_reproducible(),
            probes: count,
            version,
        })
    }
}

/// Whether a probe gives what it gave.
fn same(answer: &ProbeAnswer, published: f64, evaluated: f64) -> Result<(), Error> {
    for (found, filed) in [(published, answer.published), (evaluated, answer.evaluated)] {
        if (found - filed).abs() > TOLERANCE * filed.abs().max(1.0) || !found.is_finite() {
            return Err(Error::Failed(format!(
                "not reproducible: it predicts {found} for the probe `{}`, where it predicted \
                 {filed} when it was published",
                answer.id
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_is_told() {
        let answer = ProbeAnswer {
            id: "a".to_owned(),
            published: 1000.0,
            evaluated: 0.5,
        };
        assert!(same(&answer, 1000.0005, 0.500_000_5).is_ok());
        assert!(same(&answer, 1000.01, 0.5).is_err());
        let error = same(&answer, 1000.0, 0.51).unwrap_err().to_string();
        assert!(error.contains("0.51 for the probe `a`"), "{error}");
        assert!(same(&answer, f64::NAN, 0.5).is_err());
    }
}
