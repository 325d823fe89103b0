//! Consistency tokens: what a write returns, and a read waits for.

use std::fmt;
use std::str::FromStr;

use headwater_core::ShardId;
use headwater_core::shard::Position;

use crate::api::Problem;
use crate::codes::Code;

/// Places in journals, at most one for each shard. Text form: `shard:sequence`, several joined by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Vec<Position>);

impl Token {
    /// Makes the token of writes that ended up at these places.
    pub fn of(positions: impl IntoIterator<Item = Position>) -> Self {
        let mut latest: Vec<Position> = Vec::new();
        for position in positions {
            match latest.iter_mut().find(|known| known.shard == position.shard) {
                Some(known) if known.sequence < position.sequence => *known = position,
                Some(_) => {}
                None => latest.push(position),
            }
        }
        Self(latest)
    }

    /// Returns the places.
    pub fn positions(&self) -> &[Position] {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, position) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::new(Code::InvalidToken, detail);
        let parts: Vec<&str> = text.split(',').take(usize::from(ShardId::COUNT_MAX) + 1).collect();
        if parts.len() > usize::from(ShardId::COUNT_MAX) {
            return Err(invalid("the token names more places than there are shards".to_owned()));
        }
        let positions = parts.iter().map(|part| part.trim().parse::<Position>());
        let positions = positions.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(error.to_string()))?;
        // The database counts in signed numbers.
        if positions.iter().any(|position| i64::try_from(position.sequence.get()).is_err()) {
            return Err(invalid("the token names a sequence that no journal reaches".to_owned()));
        }
        Ok(Self::of(positions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_what_it_shows_with_the_latest_of_each_shard() {
        let token: Token = "1:7,0:3,1:9".parse().unwrap();
        assert_eq!(token.to_string(), "1:9,0:3");
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
    }

    #[test]
    fn a_garbled_token_is_refused() {
        for bad in ["", "7", "1:", ":1", "1:-1", "1024:1", "a:b", "1:2;3", "0:18446744073709551615"] {
            assert_eq!(bad.parse::<Token>().unwrap_err().code(), Code::InvalidToken, "{bad}");
        }
    }
}
