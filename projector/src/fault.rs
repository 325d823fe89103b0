//! What an error of the database means: whether it passes, whether rows are to blame, or whether its operator has to act.
//!
//! Decided here and nowhere else, by SQLSTATE (PostgreSQL, Appendix A), never by text.

use tokio_postgres::Error;

/// Whom an error concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server is away, restarts, is overloaded, or somebody was first: the same will do in a moment.
    Passing,
    /// The values: the same will always fail.
    Data,
    /// Schema, rights or settings: the same fails until somebody has mended them.
    Unfit,
}

impl Fault {
    /// Returns what an error of the client means.
    pub(crate) fn of(error: &Error) -> Self {
        if let Some(code) = error.code() {
            return Self::of_state(code.code());
        }
        // Without an answer of the server: the line broke, or what it says is not what this program can take.
        let source = std::error::Error::source(error);
        match source.is_none_or(|source| source.is::<std::io::Error>()) {
            true => Self::Passing,
            false => Self::Unfit,
        }
    }

    fn of_state(state: &str) -> Self {
        match state {
            // Lock not available, object in use; an idle or a long transaction was ended.
            "55P03" | "55006" | "25P03" | "25P04" => return Self::Passing,
            // The database was dropped. Who connects anew hears that it is not there.
            "57P04" => return Self::Unfit,
            _ => {}
        }
        match state.get(..2).unwrap_or(state) {
            // Connection, rollback for concurrency, resources, an operator who stops the server or a statement.
            "08" | "40" | "53" | "57" => Self::Passing,
            // Cardinality, data, integrity, a view's check, limits of a row or an index.
            "21" | "22" | "23" | "44" | "54" => Self::Data,
            _ => Self::Unfit,
        }
    }
}

/// What a database answers that does not do what it is asked, and will not before its operator has mended it: a missing table, a
/// right that was taken away, a server that only reads, a password that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Five characters; absent: the server did not say it, this program did, of what it got.
    pub state: Option<String>,
    /// In the server's words and language.
    pub message: String,
}

impl Unfit {
    pub(crate) fn of(error: &Error) -> Self {
        let said = error.as_db_error().map(|said| said.message().to_owned());
        let message = said.unwrap_or_else(|| match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
        Self { state: error.code().map(|code| code.code().to_owned()), message }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.state {
            Some(state) => write!(f, "{state}, {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Finds the error of the client in a chain of sources.
pub(crate) fn client_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Error> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.into_iter().find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_errors_concerns_somebody() {
        let passing =
            ["08000", "08006", "08P01", "40001", "40P01", "53100", "53200", "53300", "53400", "55P03", "55006"];
        let passing = passing.iter().chain(&["57000", "57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"]);
        let data = ["21000", "22001", "22003", "22021", "22P02", "22P05", "23502", "23505", "23514", "44000", "54000"];
        let unfit = ["42601", "42P01", "42703", "42501", "42883", "0A000", "28000", "28P01", "3D000", "3F000", "25006"];
        let unfit =
            unfit.iter().chain(&["25P02", "26000", "55000", "57P04", "58030", "P0001", "XX000", "XX001", "F0000"]);
        for (states, fault) in [
            (passing.copied().collect::<Vec<_>>(), Fault::Passing),
            (data.to_vec(), Fault::Data),
            (unfit.copied().collect(), Fault::Unfit),
        ] {
            for state in states {
                assert_eq!(Fault::of_state(state), fault, "{state}");
            }
        }
    }
}
