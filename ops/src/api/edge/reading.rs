//! A read: what is asked for, and what must be there to be seen. Every route that shows read models takes one.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use headwater_core::WorkspaceId;

use super::asked::{Asked, TOKEN_HEADER, header};
use super::token::Token;
use crate::api::{Api, Problem};

/// What a read asks for. Its own parameters are taken from it as from [`Asked`], and then it begins.
#[derive(Debug)]
pub struct Reading {
    asked: Asked,
    /// What must be there to be seen: `minSeq`, or the header of tokens.
    min_seq: Option<Token>,
}

impl FromRequestParts<Arc<Api>> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let mut asked = Asked::from_request_parts(parts, api).await?;
        let given = asked.take("minSeq");
        let given = match given.as_deref() {
            Some(given) => Some(given),
            None => header(&asked.headers, TOKEN_HEADER)?,
        };
        let min_seq = given.map(str::parse).transpose()?;
        Ok(Self { asked, min_seq })
    }
}

impl Deref for Reading {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Asked {
        &mut self.asked
    }
}

impl Reading {
    /// Refuses parameters that nobody took, and waits until the read models contain what must be seen. Returns whose they
    /// are.
    ///
    /// # Errors
    /// [`crate::codes::Code::InvalidParameter`], [`crate::codes::Code::InvalidToken`],
    /// [`crate::codes::Code::NotCaughtUp`], and what a database can do.
    pub async fn begin(self, api: &Api) -> Result<WorkspaceId, Problem> {
        let workspace = self.asked.finish()?;
        if let Some(token) = self.min_seq {
            api.catch_up(&token).await?;
        }
        Ok(workspace)
    }
}
