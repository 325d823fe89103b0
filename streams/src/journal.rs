//! The journal of one shard: append behind an expected sequence, read in order.

use std::time::Duration;

use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, RawMessageErrorKind};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use headwater_core::shard::Standing;
use headwater_core::{Incarnation, Sequence, ShardId, Timestamp};

use crate::acked::{self, PublishFailure};
use crate::subject::{self, Subject};
use crate::tail::{Start, Tail};
use crate::{Broker, Cause, Disposition, ExchangeError, topology};

/// The journal of one shard. Cheap to clone.
///
/// A stream knows its own numbers only: of the places that are given here the incarnation is passed over, and those that are
/// returned have that of the place that was asked for, or none.
#[derive(Debug, Clone)]
pub struct Journal {
    broker: Broker,
    shard: ShardId,
    stream: String,
    subject: Subject,
}

/// One message of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the journal, contiguous from 1, in the incarnation that it was asked for in.
    pub sequence: Sequence,
    /// A [`headwater_core::shard::Bundle`] as JSON, where they are ours.
    pub bytes: Bytes,
}

/// What a journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalInfo {
    /// When the broker made the stream: another one of the same name was made at another time.
    pub made_at: Timestamp,
    /// Of the oldest entry that is still there, by its number in the stream; one above `last` when none is.
    pub first: Sequence,
    /// [`Sequence::ZERO`] when nothing was ever appended.
    pub last: Sequence,
    pub bytes: u64,
}

impl JournalInfo {
    fn of(info: &Info) -> Self {
        let nanos = info.created.unix_timestamp_nanos();
        Self {
            made_at: timestamp(u64::try_from(nanos).unwrap_or(0)),
            first: Sequence::new(info.state.first_sequence),
            last: Sequence::new(info.state.last_sequence),
            bytes: info.state.bytes,
        }
    }

    /// Returns what is to be compared with what others have seen.
    pub fn standing(&self) -> Standing {
        Standing { made_at: self.made_at, end: self.last }
    }
}

/// Says how an append ended, if not well.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing this large can be appended.
    #[error("the bundle has {bytes} bytes, the broker takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// The journal does not end at the expected sequence: read [`Journal::last`] and compare bundle ids, because a
    /// retried append that had landed is refused just like that of somebody else.
    #[error("the journal does not end at {expected}")]
    Conflict { expected: Sequence, source: Cause },
    /// It was not appended.
    #[error("the broker did not append")]
    Unavailable(#[source] Cause),
    /// It may have been appended, or still be: read [`Journal::last`] and compare bundle ids.
    #[error("the broker did not say whether it appended")]
    Indeterminate(#[source] Cause),
}

impl AppendError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::TooLarge { .. } => Disposition::Rejection,
            Self::Conflict { .. } => Disposition::Conflict,
            Self::Unavailable(_) => Disposition::Unavailable,
            Self::Indeterminate(_) => Disposition::Indeterminate,
        }
    }
}

/// Says why entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The entries from `wanted` up to `first` are no longer here: the archive has them.
    #[error("the journal begins at {first}, {wanted} is gone")]
    Purged { wanted: Sequence, first: Sequence },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl ReadError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Purged { .. } => Disposition::Corrupt,
            Self::Exchange(error) => error.disposition(),
        }
    }
}

impl Journal {
    /// Opens the journal of `shard`; its stream must be there ([`crate::topology`] makes it).
    ///
    /// # Errors
    /// See [`ExchangeError`]; a stream that is missing is `Unavailable`.
    pub async fn open(broker: &Broker, shard: ShardId) -> Result<Self, ExchangeError> {
        let journal = Self::at(broker, shard);
        journal.info().await?;
        Ok(journal)
    }

    /// Opens the journal of `shard` and returns what it holds, as the stream's leader has it (`STR-4`). `None`: the broker
    /// says that there is no such stream, which a broker that is away or slow never does.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn look(broker: &Broker, shard: ShardId) -> Result<Option<(Self, JournalInfo)>, ExchangeError> {
        let journal = Self::at(broker, shard);
        let info = topology::described(broker, &journal.stream).await?;
        Ok(info.map(|info| (journal, JournalInfo::of(&info))))
    }

    /// Makes the stream of a journal that never was, with as many replicas as the shard map has, and opens it.
    ///
    /// # Errors
    /// See [`ExchangeError`]; safe to repeat, and to do twice at once.
    pub async fn make(broker: &Broker, shard: ShardId) -> Result<(Self, JournalInfo), ExchangeError> {
        topology::make_journal(broker, shard).await?;
        let journal = Self::at(broker, shard);
        let info = journal.info().await?;
        Ok((journal, info))
    }

    /// Names the journal of `shard`, whether its stream is there or not.
    pub fn at(broker: &Broker, shard: ShardId) -> Self {
        Self {
            broker: broker.clone(),
            shard,
            stream: subject::journal_stream(shard),
            subject: subject::journal_subject(shard),
        }
    }

    /// Returns whose journal it is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Appends `bytes` directly behind `expected` ([`Sequence::ZERO`]: as the first entry) and returns its sequence
    /// once it is as durable as the broker's settings make it (`STR-2`).
    ///
    /// Keep one append in flight: a second one would have to guess the sequence of the first.
    ///
    /// # Errors
    /// See [`AppendError`]. After `Conflict` and `Indeterminate` read back; the same bytes may be appended again
    /// behind the same `expected`, because at most one of the tries can land.
    pub async fn append(&self, bytes: Bytes, expected: Sequence) -> Result<Sequence, AppendError> {
        let expected = expected.in_stream();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, HeaderValue::from(expected.get()));
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        let wait = self.broker.request_timeout();
        match acked::publish(&self.broker, self.subject.to_wire(), Some(headers), bytes, wait).await {
            Ok(stored) => Ok(Sequence::new(stored.sequence)),
            Err(PublishFailure::TooLarge { bytes, bytes_max }) => Err(AppendError::TooLarge { bytes, bytes_max }),
            Err(PublishFailure::WrongSequence(source)) => Err(AppendError::Conflict { expected, source }),
            Err(PublishFailure::Unavailable(source)) => Err(AppendError::Unavailable(source)),
            Err(PublishFailure::Indeterminate(source)) => Err(AppendError::Indeterminate(source)),
        }
    }

    /// Returns the newest entry as the stream's leader has it (`STR-4`), `None` when there is none.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn last(&self) -> Result<Option<Entry>, ExchangeError> {
        const WHAT: &str = "read the end of a journal";
        let stream = self.broker.jetstream().get_stream_no_info(&self.stream).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.get_last_raw_message_by_subject(self.subject.as_str()).await {
            Ok(message) => Ok(Some(entry(message, Incarnation::FIRST))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(ExchangeError::unavailable(WHAT, error)),
        }
    }

    /// Returns an entry as the stream's leader has it (`STR-4`), `None` when there is none (any more).
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn entry(&self, sequence: Sequence) -> Result<Option<Entry>, ExchangeError> {
        const WHAT: &str = "read an entry of a journal";
        let stream = self.broker.jetstream().get_stream_no_info(&self.stream).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.get_raw_message(sequence.in_stream().get()).await {
            Ok(message) => Ok(Some(entry(message, sequence.incarnation()))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(ExchangeError::unavailable(WHAT, error)),
        }
    }

    /// Returns what the stream's leader shows of the journal (`STR-4`). `None`: it is gone.
    ///
    /// # Errors
    /// See [`ExchangeError`]; a broker that is away says nothing of the journal.
    pub async fn standing(&self) -> Result<Option<Standing>, ExchangeError> {
        let info = topology::described(&self.broker, &self.stream).await?;
        Ok(info.map(|info| JournalInfo::of(&info).standing()))
    }

    /// Returns what the journal holds.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn info(&self) -> Result<JournalInfo, ExchangeError> {
        const WHAT: &str = "describe a journal";
        let stream = self.broker.jetstream().get_stream(&self.stream).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        Ok(JournalInfo::of(stream.cached_info()))
    }

    /// Reads from `from` on (inclusive), for ever.
    pub fn read(&self, from: Sequence) -> StreamReader {
        let (incarnation, from) = (from.incarnation(), from.in_stream());
        let tail = Tail::new(&self.broker, self.stream.clone(), Vec::new(), Start::At(from.get()));
        StreamReader { tail, next: from.max(Sequence::FIRST).within(incarnation), held: None }
    }

    /// Removes every entry below `first`. Only for ranges that are archived.
    ///
    /// # Errors
    /// See [`ExchangeError`]; purging again is harmless.
    pub async fn purge_below(&self, first: Sequence) -> Result<(), ExchangeError> {
        const WHAT: &str = "purge a journal";
        let stream = self.broker.jetstream().get_stream_no_info(&self.stream).await;
        let stream = stream.map_err(|error| ExchangeError::unavailable(WHAT, error))?;
        match stream.purge().sequence(first.in_stream().get()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(ExchangeError::indeterminate(WHAT, error)),
        }
    }
}

/// Reads a journal in order; made by [`Journal::read`].
pub struct StreamReader {
    tail: Tail,
    next: Sequence,
    /// An entry behind a gap: returned as an error until the caller gives up.
    held: Option<Sequence>,
}

impl StreamReader {
    /// Returns up to `messages_max` entries as soon as there is one, or none after `wait`. Dropping the future loses
    /// nothing. Lost connections, servers and deliveries are made good inside.
    ///
    /// # Errors
    /// [`ReadError::Purged`] for good; [`ReadError::Exchange`] when the broker was out of reach all the time: ask again.
    pub async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<Entry>, ReadError> {
        if let Some(first) = self.held {
            return Err(ReadError::Purged { wanted: self.next, first });
        }
        let stored = self.tail.next(messages_max.max(1), wait).await?;
        let mut entries = Vec::with_capacity(stored.len());
        for stored in stored {
            let sequence = Sequence::new(stored.sequence).within(self.next.incarnation());
            if sequence != self.next {
                self.held = Some(sequence);
                break;
            }
            self.next = sequence.next();
            entries.push(Entry { sequence, bytes: stored.message.payload });
        }
        match self.held {
            Some(first) if entries.is_empty() => Err(ReadError::Purged { wanted: self.next, first }),
            _ => Ok(entries),
        }
    }

    /// Frees what the broker keeps for this reader. Without it the broker does so after a minute.
    pub async fn close(self) {
        self.tail.close().await;
    }
}

fn entry(message: StreamMessage, incarnation: Incarnation) -> Entry {
    Entry { sequence: Sequence::new(message.sequence).within(incarnation), bytes: message.payload }
}

pub(crate) fn timestamp(nanos: u64) -> Timestamp {
    Timestamp::from_micros(nanos / 1000)
}
