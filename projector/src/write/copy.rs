//! Rows in the binary form of `COPY … FROM STDIN (FORMAT binary)`: the cheapest way into a table.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use bytes::{BufMut, BytesMut};
use deadpool_postgres::Transaction;
use futures_util::SinkExt as _;
use headwater_core::Timestamp;
use uuid::Uuid;

use super::WriteError;
use crate::columns::database_micros;
use crate::tables::{Column, Kind, Table};

/// Rows of one table, being written down. Each row has a value for each column of the table, in that order.
#[derive(Debug)]
pub(crate) struct CopyRows {
    table: &'static Table,
    bytes: BytesMut,
    rows: u64,
    /// How many values the last row has.
    values: usize,
}

impl CopyRows {
    pub(crate) fn of(table: &'static Table, bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(bytes + 32);
        buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
        buffer.put_i32(0);
        buffer.put_i32(0);
        Self { table, bytes: buffer, rows: 0, values: table.columns.len() }
    }

    /// Begins a row.
    pub(crate) fn row(&mut self) -> &mut Self {
        debug_assert_eq!(
            self.values,
            self.table.columns.len(),
            "a row of {} has a value for each column",
            self.table.name
        );
        (self.rows, self.values) = (self.rows + 1, 0);
        self.bytes.put_i16(self.table.columns.len() as i16);
        self
    }

    /// Goes to the next column, which has to be such a one.
    fn next(&mut self, fits: impl Fn(&Column) -> bool) {
        let column = self.table.columns.get(self.values);
        debug_assert!(column.is_some_and(fits), "{}: {column:?} does not take the value", self.table.name);
        self.values += 1;
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.next(|column| column.is_nullable);
        self.bytes.put_i32(-1);
        self
    }

    fn value(&mut self, kind: Kind, value: &[u8]) -> &mut Self {
        self.next(|column| column.kind == kind);
        // A message of the journal is at most a few MB: see the broker's `max_payload`; a definition has at most 16 MiB.
        self.bytes.put_i32(value.len() as i32);
        self.bytes.put_slice(value);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.value(Kind::Bytea, value)
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.value(Kind::Text, value.as_bytes())
    }

    /// A `text` that holds JSON as the journal has it.
    pub(crate) fn json(&mut self, value: &[u8]) -> &mut Self {
        self.value(Kind::Text, value)
    }

    pub(crate) fn text_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// A `jsonb`: its version, then the text.
    pub(crate) fn jsonb(&mut self, value: &str) -> &mut Self {
        self.next(|column| column.kind == Kind::Jsonb);
        self.bytes.put_i32(value.len() as i32 + 1);
        self.bytes.put_u8(1);
        self.bytes.put_slice(value.as_bytes());
        self
    }

    pub(crate) fn jsonb_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.jsonb(value),
            None => self.null(),
        }
    }

    pub(crate) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.value(Kind::Uuid, value.as_bytes())
    }

    pub(crate) fn uuid_or_null(&mut self, value: Option<Uuid>) -> &mut Self {
        match value {
            Some(value) => self.uuid(value),
            None => self.null(),
        }
    }

    pub(crate) fn integer_or_null(&mut self, value: Option<i32>) -> &mut Self {
        match value {
            Some(value) => self.integer(value),
            None => self.null(),
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.value(Kind::Boolean, &[u8::from(value)])
    }

    pub(crate) fn boolean_or_null(&mut self, value: Option<bool>) -> &mut Self {
        match value {
            Some(value) => self.boolean(value),
            None => self.null(),
        }
    }

    pub(crate) fn smallint(&mut self, value: i16) -> &mut Self {
        self.value(Kind::Smallint, &value.to_be_bytes())
    }

    pub(crate) fn integer(&mut self, value: i32) -> &mut Self {
        self.value(Kind::Integer, &value.to_be_bytes())
    }

    pub(crate) fn bigint(&mut self, value: i64) -> &mut Self {
        self.value(Kind::Bigint, &value.to_be_bytes())
    }

    pub(crate) fn time(&mut self, value: Timestamp) -> &mut Self {
        self.value(Kind::Time, &database_micros(value).to_be_bytes())
    }

    pub(crate) fn time_or_null(&mut self, value: Option<Timestamp>) -> &mut Self {
        match value {
            Some(value) => self.time(value),
            None => self.null(),
        }
    }

    /// Puts the rows into their table.
    pub(crate) async fn write(mut self, transaction: &Transaction<'_>) -> Result<(), WriteError> {
        if self.rows == 0 {
            return Ok(());
        }
        debug_assert_eq!(self.values, self.table.columns.len(), "the last row of {} is whole", self.table.name);
        self.bytes.put_i16(-1);
        let statement = transaction.prepare_cached(&self.table.copy_in()).await?;
        let sink = transaction.copy_in(&statement).await?;
        futures_util::pin_mut!(sink);
        sink.send(self.bytes.freeze()).await?;
        sink.finish().await?;
        Ok(())
    }
}
