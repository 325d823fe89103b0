//! Rows in the binary form of `COPY … FROM STDIN (FORMAT binary)`: the cheapest way into a table.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use bytes::{BufMut, Bytes, BytesMut};
use headwater_core::Timestamp;
use uuid::Uuid;

use crate::columns::database_micros;

/// Rows of one table, being written down. Each row names its columns in the order of the `COPY` statement.
#[derive(Debug)]
pub(super) struct CopyRows {
    bytes: BytesMut,
    rows: u64,
}

impl CopyRows {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(bytes + 32);
        buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
        buffer.put_i32(0);
        buffer.put_i32(0);
        Self { bytes: buffer, rows: 0 }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Begins a row of so many columns.
    pub(super) fn row(&mut self, columns: i16) -> &mut Self {
        self.rows += 1;
        self.bytes.put_i16(columns);
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.bytes.put_i32(-1);
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // A message of the journal is at most a few MB: see the broker's `max_payload`.
        self.bytes.put_i32(value.len() as i32);
        self.bytes.put_slice(value);
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn text_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// A `jsonb`: its version, then the text.
    pub(super) fn jsonb(&mut self, value: &str) -> &mut Self {
        self.bytes.put_i32(value.len() as i32 + 1);
        self.bytes.put_u8(1);
        self.bytes.put_slice(value.as_bytes());
        self
    }

    pub(super) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn boolean(&mut self, value: bool) -> &mut Self {
        self.bytes(&[u8::from(value)])
    }

    pub(super) fn smallint(&mut self, value: i16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn integer(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn bigint(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn time(&mut self, value: Timestamp) -> &mut Self {
        self.bigint(database_micros(value))
    }

    pub(super) fn time_or_null(&mut self, value: Option<Timestamp>) -> &mut Self {
        match value {
            Some(value) => self.time(value),
            None => self.null(),
        }
    }

    /// Ends the rows.
    pub(super) fn finish(mut self) -> Bytes {
        self.bytes.put_i16(-1);
        self.bytes.freeze()
    }
}
