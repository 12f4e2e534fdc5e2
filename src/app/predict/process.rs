//! The inside of the process that predicts for callers of the daemon.

use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
};

use tokio::sync::mpsc;

use super::{
    Predictor, Telling,
    given::records_of,
    wire::{self, Answer, Ask},
};
use crate::{
    app::{App, Error},
    engine,
    registry::{Fit, ModelName},
    server::{Fault, PredictedRow},
};

/// How many versions are held loaded; their encoders are shared.
const MOST_LOADED: usize = 4;

impl App {
    /// Answers what the daemon asks on the socket that is standard input, one question after the
    /// other. When that closes, nobody asks any more: this process ends with all that it has
    /// started, which carries `mark`; also in the midst of an answer.
    ///
    /// # Errors
    ///
    /// Where standard input is no socket, or the daemon cannot be told.
    pub async fn answer_predictions(&self, mark: &str) -> Result<(), Error> {
        let failed = |error: io::Error| Error::Failed(format!("standard input: {error}"));
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut socket = UnixStream::from(socket);
        let mut questions = socket.try_clone().map_err(failed)?;
        let mark = engine::Mark::new(mark, self.data_dir());
        let (ask, mut asked) = mpsc::channel::<Ask>(1);
        // A plain thread: it must see the end while an answer is made.
        std::thread::spawn(move || {
            while let Ok(Some(question)) = wire::read(&mut questions) {
                if ask.blocking_send(question).is_err() {
                    break;
                }
            }
            engine::attempt::end_self(&mark);
        });
        let mut loaded = Vec::new();
        while let Some(question) = asked.recv().await {
            let answer = match self.answer(&mut loaded, question).await {
                Ok(rows) => Answer::Done(rows),
                Err(error) => {
                    let (status, detail) = Fault::from(error).into_parts();
                    Answer::Refused(status, detail)
                }
            };
            wire::write(&mut socket, &answer).map_err(failed)?;
        }
        Ok(())
    }

    /// The predictions that one question asks for.
    async fn answer(
        &self,
        loaded: &mut Vec<((String, u32), Predictor)>,
        question: Ask,
    ) -> Result<Vec<PredictedRow>, Error> {
        let wanted = question.wanted;
        let telling = Telling {
            parts: wanted.explain,
            nearest: wanted.nearest,
            top_k: wanted.top_k,
            threshold: wanted.threshold,
        };
        let (records, given) = records_of(&self.environment, wanted.records).await?;
        let version = (question.model, question.version);
        let known = loaded.iter().position(|(known, _)| *known == version);
        let mut predictor = if let Some(at) = known {
            loaded.remove(at).1
        } else {
            let name = ModelName::Version(version.0.clone(), version.1);
            self.predictor(&name, Fit::Published).await?
        };
        let rows = predictor.predict_with(&records, &given, telling).await;
        // The one that was asked last is the last to go.
        loaded.insert(0, (version, predictor));
        loaded.truncate(MOST_LOADED);
        rows
    }
}
