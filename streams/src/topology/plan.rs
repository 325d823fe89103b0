//! What has to be done so that the broker has the streams it should, and what must not be done (`STR-5`).

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Discard, Retention, StreamSpec, Topology};
use crate::subject::JOURNAL_PREFIX;
use crate::{Broker, Disposition, ExchangeError};

/// How many streams are asked for at once.
const STREAMS_AT_ONCE: usize = 16;

/// What [`Topology::apply`] would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Streams that are missing.
    pub create: Vec<String>,
    /// Journals that are missing and have begun. They are not made: their shards are held.
    pub missing: Vec<String>,
    /// Harmless differences.
    pub update: Vec<Change>,
    /// Differences that would lose something; one of these and nothing at all is done.
    pub refused: Vec<Drift>,
}

impl Plan {
    /// Returns whether the broker is as it should be.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.missing.is_empty() && self.update.is_empty() && self.refused.is_empty()
    }
}

/// A harmless difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub stream: String,
    pub field: &'static str,
    pub from: String,
    pub to: String,
}

/// A difference whose removal would lose something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub stream: String,
    pub field: &'static str,
    pub actual: String,
    pub wanted: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {}, not {}", self.stream, self.field, self.actual, self.wanted)
    }
}

/// Says why a topology was not applied.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Nothing was changed. Migrate by hand, or ask for what is there.
    #[error("applying the topology would lose data: {}", list(.0))]
    Lossy(Vec<Drift>),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl TopologyError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Lossy(_) => Disposition::Rejection,
            Self::Exchange(error) => error.disposition(),
        }
    }
}

fn list(drifts: &[Drift]) -> String {
    drifts.iter().map(Drift::to_string).collect::<Vec<_>>().join("; ")
}

impl Topology {
    /// Compares the topology with what the broker has. Changes nothing.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn plan(&self, broker: &Broker) -> Result<Plan, ExchangeError> {
        Ok(self.compare(broker).await?.0)
    }

    /// Makes the broker as the topology says and returns what it took. Safe to repeat, and to run twice at once.
    ///
    /// # Errors
    /// [`TopologyError::Lossy`] before anything was changed.
    pub async fn apply(&self, broker: &Broker) -> Result<Plan, TopologyError> {
        let (plan, steps) = self.compare(broker).await?;
        if !plan.refused.is_empty() {
            return Err(TopologyError::Lossy(plan.refused));
        }
        stream::iter(steps)
            .map(|step| async move { step.run(broker).await })
            .buffer_unordered(STREAMS_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(plan)
    }

    async fn compare(&self, broker: &Broker) -> Result<(Plan, Vec<Step>), ExchangeError> {
        let mut plan = Plan { refused: self.surplus_journals(broker).await?, ..Plan::default() };
        let mut steps = Vec::new();
        let specs: Vec<StreamSpec> = self.streams.clone();
        let compared = stream::iter(specs).map(|spec| async move {
            let actual = existing(broker, &spec.name).await?;
            Ok::<_, ExchangeError>((spec, actual))
        });
        let compared: Vec<_> = compared.buffered(STREAMS_AT_ONCE).try_collect().await?;
        for (spec, actual) in compared {
            match actual {
                None if spec.must_exist => plan.missing.push(spec.name.clone()),
                None => {
                    plan.create.push(spec.name.clone());
                    steps.push(Step::Create(Box::new(config_of(&spec))));
                }
                Some(mut config) => {
                    let changes = plan.update.len();
                    Differences { spec: &spec, config: &mut config, plan: &mut plan }.find();
                    if plan.update.len() > changes {
                        steps.push(Step::Update(Box::new(config)));
                    }
                }
            }
        }
        Ok((plan, steps))
    }

    /// Finds journals of shards the topology does not have: their runs would stand still.
    async fn surplus_journals(&self, broker: &Broker) -> Result<Vec<Drift>, ExchangeError> {
        let names: Vec<String> = broker
            .jetstream()
            .stream_names()
            .try_collect()
            .await
            .map_err(|error| ExchangeError::unavailable("list the streams", error))?;
        let surplus = names.into_iter().filter(|name| {
            let shard = name.strip_prefix(JOURNAL_PREFIX).and_then(|number| number.parse::<u16>().ok());
            shard.is_some_and(|shard| shard >= self.shards)
        });
        let drift =
            |stream| Drift { stream, field: "shard", actual: "there".into(), wanted: format!("below {}", self.shards) };
        Ok(surplus.map(drift).collect())
    }
}

enum Step {
    Create(Box<Config>),
    Update(Box<Config>),
}

impl Step {
    async fn run(self, broker: &Broker) -> Result<(), ExchangeError> {
        match self {
            // Creating what is there with the same settings succeeds.
            Self::Create(config) => match broker.jetstream().create_stream(*config).await {
                Ok(_) => Ok(()),
                Err(error) => Err(ExchangeError::unavailable("create a stream", error)),
            },
            Self::Update(config) => match broker.jetstream().update_stream(*config).await {
                Ok(_) => Ok(()),
                Err(error) => Err(ExchangeError::unavailable("update a stream", error)),
            },
        }
    }
}

async fn existing(broker: &Broker, name: &str) -> Result<Option<Config>, ExchangeError> {
    Ok(described(broker, name).await?.map(|info| info.config))
}

/// Returns a stream as its leader describes it. `None`: the broker says that there is none.
pub(crate) async fn described(broker: &Broker, name: &str) -> Result<Option<Info>, ExchangeError> {
    match broker.jetstream().get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(ExchangeError::unavailable("describe a stream", error)),
        },
    }
}

pub(super) fn config_of(spec: &StreamSpec) -> Config {
    Config {
        name: spec.name.clone(),
        description: Some(spec.description.to_owned()),
        subjects: spec.subjects.clone(),
        retention: retention(spec.retention),
        discard: discard(spec.discard),
        storage: StorageType::File,
        num_replicas: spec.replicas,
        max_age: spec.age_max.unwrap_or_default(),
        max_messages_per_subject: spec.messages_per_subject_max.map_or(-1, i64::from),
        duplicate_window: spec.duplicate_window.unwrap_or_default(),
        deny_delete: spec.deny_delete,
        allow_rollup: spec.allow_rollup,
        allow_direct: spec.allow_direct,
        max_messages: -1,
        max_bytes: -1,
        max_consumers: -1,
        max_message_size: -1,
        ..Config::default()
    }
}

fn retention(retention: Retention) -> RetentionPolicy {
    match retention {
        Retention::Limits => RetentionPolicy::Limits,
        Retention::WorkQueue => RetentionPolicy::WorkQueue,
    }
}

fn discard(discard: Discard) -> DiscardPolicy {
    match discard {
        Discard::Old => DiscardPolicy::Old,
        Discard::New => DiscardPolicy::New,
    }
}

/// Compares one stream field by field. What the topology says nothing about (placement, compression, …) stays.
struct Differences<'a> {
    spec: &'a StreamSpec,
    config: &'a mut Config,
    plan: &'a mut Plan,
}

impl Differences<'_> {
    fn find(&mut self) {
        let spec = self.spec;
        self.must_be("storage", self.config.storage, StorageType::File);
        self.must_be("retention", self.config.retention, retention(spec.retention));
        self.subjects();
        self.replicas();
        self.limit("max_msgs", self.config.max_messages, -1, |c, v| c.max_messages = v);
        self.limit("max_bytes", self.config.max_bytes, -1, |c, v| c.max_bytes = v);
        let per_subject = spec.messages_per_subject_max.map_or(-1, i64::from);
        self.limit("max_msgs_per_subject", self.config.max_messages_per_subject, per_subject, |c, v| {
            c.max_messages_per_subject = v;
        });
        let nanos = |age: Duration| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        let age = nanos(spec.age_max.unwrap_or_default());
        self.limit("max_age", nanos(self.config.max_age), age, |c, v| {
            c.max_age = Duration::from_nanos(v.unsigned_abs());
        });
        match (self.config.discard, discard(spec.discard)) {
            (DiscardPolicy::New, DiscardPolicy::Old) => self.refuse("discard", "new", "old"),
            (actual, wanted) => self.may_become("discard", actual, wanted, |c, v| c.discard = v),
        }
        match (self.config.deny_delete, spec.deny_delete) {
            (true, false) => self.refuse("deny_delete", "true", "false"),
            (actual, wanted) => self.may_become("deny_delete", actual, wanted, |c, v| c.deny_delete = v),
        }
        if let Some(window) = spec.duplicate_window {
            self.may_become("duplicate_window", self.config.duplicate_window, window, |c, v| c.duplicate_window = v);
        }
        self.may_become("allow_rollup", self.config.allow_rollup, spec.allow_rollup, |c, v| c.allow_rollup = v);
        self.may_become("allow_direct", self.config.allow_direct, spec.allow_direct, |c, v| c.allow_direct = v);
    }

    fn refuse(&mut self, field: &'static str, actual: impl Into<String>, wanted: impl Into<String>) {
        let stream = self.spec.name.clone();
        self.plan.refused.push(Drift { stream, field, actual: actual.into(), wanted: wanted.into() });
    }

    fn must_be<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, actual: T, wanted: T) {
        if actual != wanted {
            self.refuse(field, format!("{actual:?}").to_lowercase(), format!("{wanted:?}").to_lowercase());
        }
    }

    fn may_become<T: PartialEq + fmt::Debug>(
        &mut self,
        field: &'static str,
        actual: T,
        wanted: T,
        set: impl FnOnce(&mut Config, T),
    ) {
        if actual != wanted {
            let (from, to) = (format!("{actual:?}"), format!("{wanted:?}"));
            self.plan.update.push(Change { stream: self.spec.name.clone(), field, from, to });
            set(self.config, wanted);
        }
    }

    /// A limit of zero or less is none. A limit may rise or go, not fall or come.
    fn limit(&mut self, field: &'static str, actual: i64, wanted: i64, set: impl FnOnce(&mut Config, i64)) {
        let (bounded, asked) = (actual > 0, wanted > 0);
        match (bounded, asked) {
            (false, false) => {}
            (true, true) if actual == wanted => {}
            (true, true) if actual < wanted => self.may_become(field, actual, wanted, set),
            (true, false) => self.may_become(field, actual, wanted, set),
            (true, true) | (false, true) => {
                let actual = if bounded { actual.to_string() } else { "unlimited".into() };
                self.refuse(field, actual, wanted.to_string());
            }
        }
    }

    fn subjects(&mut self) {
        let (actual, wanted) = (self.config.subjects.clone(), self.spec.subjects.clone());
        if actual.iter().any(|subject| !wanted.contains(subject)) {
            self.refuse("subjects", actual.join(","), wanted.join(","));
        } else if actual.len() != wanted.len() {
            self.may_become("subjects", actual, wanted, |c, v| c.subjects = v);
        }
    }

    fn replicas(&mut self) {
        let (actual, wanted) = (self.config.num_replicas, self.spec.replicas);
        if actual > wanted {
            self.refuse("replicas", actual.to_string(), wanted.to_string());
        } else {
            self.may_become("replicas", actual, wanted, |c, v| c.num_replicas = v);
        }
    }
}
