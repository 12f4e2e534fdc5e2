//! How the daemon and the process that predicts speak: JSON, each with its length before it.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::server::{ErrorDetail, PredictWanted, PredictedRow};

/// The longest text that is read, in bytes; a request is smaller, see the limit of its body.
const LONGEST: u32 = 256 << 20;

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::app) struct Ask {
    /// The model.
    pub(in crate::app) model: String,
    /// Its version.
    pub(in crate::app) version: u32,
    /// The records, and what is to be told of them.
    pub(in crate::app) wanted: PredictWanted,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Answer {
    /// The predictions.
    Done(Vec<PredictedRow>),
    /// Why there are none, with the status of that refusal.
    Refused(u16, ErrorDetail),
}

/// The bytes of a message with its length before them.
fn framed(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).ok();
    let length = length.filter(|&length| length <= LONGEST);
    let length = length.ok_or_else(too_long)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

fn too_long() -> io::Error {
    let message = format!("a message is longer than {LONGEST} bytes");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// How many bytes come next.
fn length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(head);
    if length > LONGEST {
        return Err(too_long());
    }
    Ok(length as usize)
}

/// Writes a message.
pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&framed(message)?)?;
    to.flush()
}

/// Reads a message; none where the other end has closed before one.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Says a message and waits for its answer.
pub(in crate::app) async fn exchange<T: DeserializeOwned>(
    with: &mut (impl AsyncRead + AsyncWrite + Unpin + Send),
    message: &(impl Serialize + Sync),
) -> io::Result<T> {
    with.write_all(&framed(message)?).await?;
    let mut head = [0; 4];
    with.read_exact(&mut head).await?;
    let mut bytes = vec![0; length(head)?];
    with.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_through_whole_and_an_end_between_them_is_one() {
        let mut pipe = Vec::new();
        for number in [0.1 + 0.2, 1e-300] {
            write(&mut pipe, &number).unwrap();
        }
        let mut pipe = pipe.as_slice();
        assert_eq!(read(&mut pipe).unwrap(), Some(0.1 + 0.2));
        assert_eq!(read(&mut pipe).unwrap(), Some(1e-300));
        assert_eq!(read::<f64>(&mut pipe).unwrap(), None);
        let mut cut: &[u8] = &[3, 0, 0, 0, b'1'];
        assert!(read::<f64>(&mut cut).is_err());
        let mut long: &[u8] = &[255; 8];
        let error = read::<f64>(&mut long).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_follows_its_question() {
        let (mut ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let answering = std::thread::spawn(move || {
            let asked: String = read(&mut theirs).unwrap().unwrap();
            write(&mut theirs, &asked.len()).unwrap();
        });
        let answer: usize = exchange(&mut ours, &"x".repeat(1 << 20)).await.unwrap();
        assert_eq!(answer, 1 << 20);
        answering.join().unwrap();
        assert!(exchange::<usize>(&mut ours, &"?").await.is_err());
    }
}
