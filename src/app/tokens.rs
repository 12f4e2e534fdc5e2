//! The tokens of the daemon's API.

use std::fmt::Write as _;

use rand::TryRng as _;

use super::{App, Error};
use crate::{server::hash_token, store::TokenRow};

impl App {
    /// Makes a token of this name, which is shown here and never again.
    ///
    /// # Errors
    ///
    /// Where there was one of this name, or the name is empty.
    pub async fn create_token(&self, name: &str) -> Result<String, Error> {
        if name.trim().is_empty() {
            return Err(Error::wrong("a token needs a name", None));
        }
        let token = random()?;
        let now = self.clock().now();
        if self
            .store()
            .add_token(name, &hash_token(&token), now)
            .await?
        {
            return Ok(token);
        }
        Err(Error::wrong(
            format!("there is or was a token `{name}`"),
            "give another name; `trendmill tokens list` shows all".to_owned(),
        ))
    }

    /// All tokens, without what proves them.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        Ok(self.store().tokens().await?)
    }

    /// Makes a token worthless.
    ///
    /// # Errors
    ///
    /// Where there is none of this name that is good.
    pub async fn revoke_token(&self, name: &str) -> Result<(), Error> {
        if self.store().revoke_token(name, self.clock().now()).await? {
            return Ok(());
        }
        Err(Error::wrong(
            format!("there is no token `{name}` that is good"),
            "`trendmill tokens list` shows all".to_owned(),
        ))
    }
}

/// 256 random bits, as text.
pub(super) fn random() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::unfit(format!("no random numbers: {error}"), None))?;
    Ok(bytes.iter().fold("tm_".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
