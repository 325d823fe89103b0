//! What can go wrong, for programs: every stable code with its HTTP status, cause and remedy. `docs/api.md` shows the
//! same table, and a test holds the two together. The exit code of a command follows from the status.

/// Says what went wrong. Codes never change their meaning; new ones are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    NotUtf8,
    Incomplete,
    TooLarge,
    NotJson,
    NotYaml,
    TooDeep,
    DuplicateKey,
    NulCharacter,
    NumberOutOfRange,
    UnknownField,
    InvalidField,
    InvalidName,
    InvalidParameter,
    InvalidHeader,
    InvalidCursor,
    InvalidToken,
    MediaType,
    ContentEncoding,
    UnknownHost,
    CrossOrigin,
    TooSlow,
    TimedOut,
    RouteNotFound,
    MethodNotAllowed,
    DefinitionInvalid,
    WorkflowNotFound,
    WorkflowPaused,
    VersionNotFound,
    ActionNotFound,
    AssetNotFound,
    AssetNotDeclared,
    RunNotFound,
    ValueNotFound,
    ValueLost,
    MomentNotFound,
    HistoryUnclear,
    ContextTooLarge,
    RunClosed,
    KeyReused,
    StartUnclear,
    TargetInvalid,
    DescriptionInvalid,
    NodeNotFound,
    NodeNotActive,
    OutputInvalid,
    TimerInvalid,
    MigrationInvalid,
    OperationsExhausted,
    RunActive,
    RunNotFailed,
    RecallInvalid,
    RecallTooLarge,
    SignalInvalid,
    SignalsFull,
    SignalsExhausted,
    UpdateNotFound,
    UpdateFailed,
    ReplyForgotten,
    CallbackTokenInvalid,
    CallbackNotFound,
    CallbackClosed,
    TaskNotFound,
    TaskClosed,
    NotAssigned,
    AlreadyAnswered,
    AnswerInvalid,
    AssigneesInvalid,
    AnswersExhausted,
    InputInvalid,
    NotCaughtUp,
    ProjectionBroken,
    DatabaseUnavailable,
    DatabaseUnfit,
    Overloaded,
    Unavailable,
    ShardUnavailable,
    NotStored,
    Indeterminate,
    NotReady,
    Quarantined,
    NotQuarantined,
    NotReleased,
    Poisoned,
    ShardHeld,
    NotHeld,
    HoldNotReleased,
    IncarnationReplaced,
    NotAsOf,
    NotYet,
    Internal,
}

/// What there is to know of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub code: Code,
    /// As programs see it.
    pub text: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// What happened, in a few words; always the same.
    pub title: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

const fn entry(code: Code, text: &'static str, status: u16, title: &'static str, remedy: &'static str) -> Entry {
    Entry { code, text, status, title, remedy }
}

/// Every code, in the order of [`Code`].
#[rustfmt::skip]
pub const TABLE: [Entry; 90] = [
    entry(Code::NotUtf8, "request/not_utf8", 400, "the body is not UTF-8", "Send the body as UTF-8."),
    entry(Code::Incomplete, "request/incomplete", 400, "the body broke off", "Send the request again."),
    entry(Code::TooLarge, "request/too_large", 413, "the request is too large", "Send at most 1 MiB, or 17 MiB of definitions; put large values into a store of yours and send their address."),
    entry(Code::NotJson, "request/not_json", 400, "the body is not JSON", "Correct the place the detail names."),
    entry(Code::NotYaml, "request/not_yaml", 400, "the body is not YAML", "Correct the place the detail names."),
    entry(Code::TooDeep, "request/too_deep", 400, "the body is nested too deeply", "Nest at most 64 arrays and objects."),
    entry(Code::DuplicateKey, "request/duplicate_key", 400, "an object names a key twice", "Keep one of the two."),
    entry(Code::NulCharacter, "request/nul_character", 400, "a string contains U+0000", "Remove the character: the database cannot store it."),
    entry(Code::NumberOutOfRange, "request/number_out_of_range", 400, "a whole number does not fit 64 bits", "Send it as a string."),
    entry(Code::UnknownField, "request/unknown_field", 400, "the body has a field that nobody knows", "Remove it, or correct its spelling."),
    entry(Code::InvalidField, "request/invalid_field", 400, "a field of the body is missing or of the wrong kind", "Correct the field the detail names."),
    entry(Code::InvalidName, "request/invalid_name", 400, "a name in the path is not valid", "Correct the name; the detail says the rule."),
    entry(Code::InvalidParameter, "request/invalid_parameter", 400, "a query parameter is unknown or not valid", "Correct the parameter the detail names."),
    entry(Code::InvalidHeader, "request/invalid_header", 400, "a header is not valid", "Correct the header the detail names."),
    entry(Code::InvalidCursor, "request/invalid_cursor", 400, "the cursor is not valid", "Use the cursor exactly as the page before returned it, or begin without one."),
    entry(Code::InvalidToken, "request/invalid_token", 400, "the consistency token is not of this cluster", "Use the token exactly as a write returned it."),
    entry(Code::MediaType, "request/media_type", 415, "the body is of a type that is not taken here", "Send Content-Type: application/json (definitions also: application/yaml)."),
    entry(Code::ContentEncoding, "request/content_encoding", 415, "the body is compressed", "Send the body as it is, without Content-Encoding."),
    entry(Code::UnknownHost, "request/unknown_host", 421, "the API does not answer under this name", "Address it as 127.0.0.1 or localhost, or give the name to --allowed-hosts."),
    entry(Code::CrossOrigin, "request/cross_origin", 403, "a web page of another origin asked for a change", "Ask from a page of the API's own origin, or give the page's host to --allowed-hosts."),
    entry(Code::TooSlow, "request/too_slow", 408, "the body did not arrive in time", "Send the request again, over a better connection."),
    entry(Code::TimedOut, "request/timed_out", 504, "the request took too long", "It may have happened. Read before repeating a write, or repeat it with the same Idempotency-Key."),
    entry(Code::RouteNotFound, "route/not_found", 404, "there is nothing at this path", "GET /openapi.json lists every path."),
    entry(Code::MethodNotAllowed, "route/method_not_allowed", 405, "the path does not take this method", "Use a method that the Allow header lists."),
    entry(Code::DefinitionInvalid, "definition/invalid", 422, "a definition has problems", "Correct everything that `problems` lists with severity error; nothing was applied."),
    entry(Code::WorkflowNotFound, "workflow/not_found", 404, "there is no such workflow", "Apply it first; right after an apply, pass its token as minSeq."),
    entry(Code::WorkflowPaused, "workflow/paused", 409, "the workflow is paused", "Resume it, or wait until somebody does; nothing was started."),
    entry(Code::VersionNotFound, "workflow/version_not_found", 404, "the workflow has no such version", "GET /workflows/{slug}/versions lists those there are."),
    entry(Code::ActionNotFound, "action/not_found", 404, "there is no such action, or version of it", "GET /actions/{slug}/versions lists those there are; right after an apply, pass its token as minSeq."),
    entry(Code::AssetNotFound, "asset/not_found", 404, "there is no such asset", "An asset exists from the moment a workflow that declares it is applied; right after that, pass its token as minSeq."),
    entry(Code::AssetNotDeclared, "asset/not_declared", 404, "the workflow does not declare the asset", "GET /workflows/{slug}/assets lists those it declares; GET /assets/{assetId} is there for all."),
    entry(Code::RunNotFound, "run/not_found", 404, "there is no such run", "Check the id and the workspace; right after a start, pass its token as minSeq."),
    entry(Code::ValueNotFound, "run/value_not_found", 404, "the run has no such value", "The traces, branches and events of a run name its values; right after a write, pass its token as minSeq."),
    entry(Code::ValueLost, "run/value_lost", 500, "the value is not in the store of values", "Tell your operator, who gives the stream HW_VALUES back from a backup."),
    entry(Code::MomentNotFound, "run/moment_not_found", 404, "the run has no such moment", "Take a revision, a branch, or a node and an attempt from its events and traces; right after a write, pass its token as minSeq."),
    entry(Code::HistoryUnclear, "run/history_unclear", 409, "the history of the run cannot be folded", "It was in quarantine, or is older than what this release folds: its events and traces are there."),
    entry(Code::ContextTooLarge, "run/context_too_large", 413, "the values of the run are too large to look back at", "Take its values one by one, as its traces name them; of an active run GET /runs/{runId}/context shows more than /live."),
    entry(Code::RunClosed, "run/closed", 409, "the run has ended and never changes again", "Start a new run if that is what is wanted."),
    entry(Code::KeyReused, "run/key_reused", 409, "the idempotency key was used before for something else", "Use one key for one wish: a new key for another input."),
    entry(Code::StartUnclear, "run/start_unclear", 409, "whether this start came before is not known any more", "Look for the run. If it is not there, start it anew; the clocks of the engine's machines have to agree within a minute."),
    entry(Code::TargetInvalid, "run/target_invalid", 422, "no such part of the workflow can be run", "Name nodes of the workflow that stand outside of all bodies."),
    entry(Code::DescriptionInvalid, "run/description_invalid", 422, "a run cannot be called so", "Correct the name or the label that the detail names."),
    entry(Code::NodeNotFound, "run/node_not_found", 404, "the run has no such node now", "Take a node and its branch from the traces of the run: a branch that has ended has none any more."),
    entry(Code::NodeNotActive, "run/node_not_active", 409, "the node cannot be taken in hand where it stands", "Wait until it has begun; of a node with branches, take those in hand that stand in them."),
    entry(Code::OutputInvalid, "run/output_invalid", 422, "the node cannot have made that", "Give an output, and the assets, that the definition lets the node make."),
    entry(Code::TimerInvalid, "run/timer_invalid", 422, "the timer cannot be set so", "Name a node that sleeps or waits for its next attempt, and a time within ten years."),
    entry(Code::MigrationInvalid, "run/migration_invalid", 409, "the run does not fit the version as it stands", "Change the map or the version as `obstacles` say, or wait until what is in the way has ended; nothing happened."),
    entry(Code::OperationsExhausted, "run/operations_exhausted", 409, "the run was taken in hand as often as a run ever is", "Cancel or terminate it, and start a new run."),
    entry(Code::RunActive, "run/active", 409, "the run has not ended", "Wait for its end, or cancel it; a fork goes on from a run at any time."),
    entry(Code::RunNotFailed, "run/not_failed", 409, "the run has not failed, and there is nothing to be done again", "Restart it from a node, or fork it."),
    entry(Code::RecallInvalid, "run/recall_invalid", 422, "the run cannot go on from another so", "Correct what the detail names."),
    entry(Code::RecallTooLarge, "run/recall_too_large", 413, "the run has made more than another can be told", "Start a new run: at most 64 MiB are told, 4 MiB of one node."),
    entry(Code::SignalInvalid, "run/signal_invalid", 422, "the run takes no such signal", "Send less: a payload has at most 256 KiB and 64 levels."),
    entry(Code::SignalsFull, "run/signals_full", 429, "the run keeps as many signals as it can that nobody has taken", "Try again once a node of the run has taken some; nothing happened."),
    entry(Code::SignalsExhausted, "run/signals_exhausted", 409, "the run has received as many signals as a run ever does", "Start a new run for what comes."),
    entry(Code::UpdateNotFound, "update/not_found", 404, "the run has received no such update", "Check the run and the id; send the update."),
    entry(Code::UpdateFailed, "update/failed", 422, "the node that took the update could not answer it", "Correct what the update says or the definition's `reply`; `nodeError` is what the node failed with."),
    entry(Code::ReplyForgotten, "update/reply_forgotten", 410, "the update was answered so long ago that nobody knows any more with what", "Nothing: it was answered, and is not said again."),
    entry(Code::CallbackTokenInvalid, "callback/token_invalid", 400, "it is not the token of a callback", "Copy the token whole: GET /runs/{runId}/callbacks lists those that are waited for."),
    entry(Code::CallbackNotFound, "callback/not_found", 404, "no attempt waits for this callback, and none has", "Check the token; GET /runs/{runId}/callbacks lists those that are waited for."),
    entry(Code::CallbackClosed, "callback/closed", 409, "the callback is closed: it was completed otherwise, its time is over, or it was withdrawn", "Nothing: nobody waits for it any more. A further attempt has a token of its own."),
    entry(Code::TaskNotFound, "task/not_found", 404, "nobody is asked anything there", "Check the run, the node with its branch, and the workspace; GET /tasks lists what is open."),
    entry(Code::TaskClosed, "task/closed", 409, "the task is closed: it was answered, its time is over, or it was withdrawn", "Nothing: nobody waits for it any more."),
    entry(Code::NotAssigned, "task/not_assigned", 403, "the task is assigned to other people", "Let one of its assignees answer, or reassign it."),
    entry(Code::AlreadyAnswered, "task/already_answered", 409, "the same name has answered the task before", "Let somebody else answer: a quorum counts distinct names."),
    entry(Code::AnswerInvalid, "task/answer_invalid", 422, "the answer is not what the form asks for", "Correct what the detail names; the task's form is the rule. The task is still open."),
    entry(Code::AssigneesInvalid, "task/assignees_invalid", 422, "the task cannot be assigned so", "Name 1 to 100 people, of whom enough have not answered."),
    entry(Code::AnswersExhausted, "run/answers_exhausted", 409, "the run has received as many answers as a run ever does", "Start a new run for what people are asked."),
    entry(Code::InputInvalid, "run/input_invalid", 422, "the input does not fit the workflow", "Correct what the detail names; the workflow's inputSchema is the rule."),
    entry(Code::NotCaughtUp, "read/not_caught_up", 504, "what was asked for is not projected yet", "Ask again after a moment; GET /projection says how far it is."),
    entry(Code::ProjectionBroken, "read/broken", 503, "the projection of this shard is broken", "Run `headwater rebuild`."),
    entry(Code::DatabaseUnavailable, "read/database_unavailable", 503, "the database is out of reach", "Ask again after a moment; runs go on meanwhile."),
    entry(Code::DatabaseUnfit, "read/database_unfit", 503, "the database refuses what is asked of it", "Tell your operator: GET /readyz and the log say what it answers. Runs go on, and so do reads by themselves once it is mended."),
    entry(Code::Overloaded, "engine/overloaded", 429, "the engine has as much under way as it takes", "Wait as long as Retry-After says, then repeat; nothing happened."),
    entry(Code::Unavailable, "engine/unavailable", 503, "the engine cannot take the command now", "Repeat after a moment; nothing happened."),
    entry(Code::ShardUnavailable, "engine/shard_unavailable", 503, "nobody who drives the shard can be reached", "Wait as long as Retry-After says, then repeat: the shard did not get the command. GET /readyz names shards without an owner."),
    entry(Code::NotStored, "engine/not_stored", 503, "the broker does not store what the shard decides", "Nothing happened: wait as long as Retry-After says, then repeat. Tell your operator, who sees whether the broker's disk is full; once it has space, the broker has to be restarted."),
    entry(Code::Indeterminate, "engine/indeterminate", 504, "nobody answered in time whether it happened", "It may have happened: repeat with the same Idempotency-Key, or read before repeating."),
    entry(Code::NotReady, "engine/not_ready", 503, "this process cannot serve yet", "See `checks` for what is missing."),
    entry(Code::Quarantined, "engine/quarantined", 500, "the history of this aggregate breaks the rules, and it is set aside", "Tell your operator; everything else goes on. Ask again once it is released: `headwater quarantine list`."),
    entry(Code::NotQuarantined, "quarantine/not_found", 404, "no such aggregate is quarantined", "GET /quarantine lists those that are."),
    entry(Code::NotReleased, "quarantine/not_released", 409, "the aggregate cannot be released so, and stays quarantined", "See the detail: upgrade and refold, skip the event it names, or end the run."),
    entry(Code::Poisoned, "shard/poisoned", 500, "deciding this command made the engine panic, and it is not decided again", "Do not repeat it; report it with the log of the process that drives the shard. Nothing happened, and everything else goes on."),
    entry(Code::ShardHeld, "engine/shard_held", 503, "the shard is on hold: its journal contradicts what was seen of it", "Tell your operator, who finds what to do with `headwater doctor`. Nothing happened; do not repeat it before then."),
    entry(Code::NotHeld, "hold/not_found", 404, "the shard is not on hold", "GET /holds lists those that are."),
    entry(Code::HoldNotReleased, "hold/not_released", 409, "the shard cannot be released so, and stays on hold", "See the detail, and look at GET /holds again."),
    entry(Code::IncarnationReplaced, "read/incarnation_replaced", 410, "the token or cursor is of an incarnation of its shard that was given up", "Read without it: what it stood for may be gone, and what is missing has to be written again. Begin a feed from its start."),
    entry(Code::NotAsOf, "read/not_as_of", 400, "this is not read as of a moment", "Ask without asOf. As of a moment there are workflows, their versions and what they make and use, and assets with their versions."),
    entry(Code::NotYet, "read/not_yet", 400, "the moment is still to come", "Ask as of a moment that has passed, or without asOf."),
    entry(Code::Internal, "engine/internal", 500, "the engine made a mistake", "Report it with the log of this process."),
];

impl Code {
    /// Returns what there is to know of it.
    pub fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }

    /// Returns the code that programs see as `text`.
    pub fn of_text(text: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.text == text).map(|entry| entry.code)
    }
}

/// With what a command exits; `docs/cli.md` shows the same table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    InvalidInput = 2,
    Unavailable = 3,
    NotFound = 4,
    Conflict = 5,
}

impl Exit {
    /// Returns what it says.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "not done, or done and the run did not succeed",
            Self::InvalidInput => "the input is not valid: arguments, definitions, the run's input",
            Self::Unavailable => "the engine, the broker or the database cannot be reached, or is overloaded",
            Self::NotFound => "there is no such thing",
            Self::Conflict => "something is in the way: the run has ended, the key was used, a rebuild is under way",
        }
    }

    /// Returns the exit code for an answer of the API.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            404 | 410 => Self::NotFound,
            409 => Self::Conflict,
            400..=403 | 405..=428 => Self::InvalidInput,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_at_its_place_in_the_table_once() {
        for (at, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.code as usize, at, "{}", entry.text);
            assert_eq!(Code::of_text(entry.text), Some(entry.code));
        }
    }

    #[test]
    fn the_exit_codes_are_those_of_the_documentation() {
        let docs = include_str!("../../docs/cli.md");
        let exits = [Exit::Ok, Exit::Failed, Exit::InvalidInput, Exit::Unavailable, Exit::NotFound, Exit::Conflict];
        for exit in exits {
            assert!(docs.contains(&format!("| {} | {} |", exit as u8, exit.meaning())), "{exit:?}");
        }
        for Entry { status, text, .. } in &TABLE {
            assert_ne!(Exit::of_status(*status), Exit::Ok, "{text}");
        }
    }

    #[test]
    fn the_documentation_shows_the_same_table() {
        let docs = include_str!("../../docs/api.md");
        for entry in &TABLE {
            let row = format!("| `{}` | {} | {} | {} |", entry.text, entry.status, entry.title, entry.remedy);
            assert!(docs.contains(&row), "docs/api.md lacks this row:\n{row}");
        }
    }
}
