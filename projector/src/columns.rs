//! How our values travel as database values.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use headwater_core::{ShardId, Timestamp};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Microseconds from 1970 to 2000, where the database's time begins.
pub(crate) const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;

/// A `timestamptz`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Timestamp);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(database_micros(self.0));
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH_2000_MICROS);
        Ok(Self(Timestamp::from_micros(u64::try_from(micros)?)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }
}

/// Returns a time as the database counts it.
pub(crate) fn database_micros(time: Timestamp) -> i64 {
    time.as_micros().min(i64::MAX as u64) as i64 - EPOCH_2000_MICROS
}

/// Returns a position as a `bigint`. The journal cannot reach the end of it; what claims to is pinned there.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a count or number as an `integer`, pinned as in [`bigint`].
pub(crate) fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Returns a shard as a `smallint`.
pub(crate) fn smallint(shard: ShardId) -> i16 {
    i16::try_from(shard.number()).expect("there are at most 1,024 shards")
}
