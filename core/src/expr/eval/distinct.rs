//! Which items of a list are the first of their like, in less than the square of their number.
//!
//! Each value has a key, equal to another's exactly where `==` finds the values equal, and keys have an order. They are
//! not hashed: whoever writes the list could choose values whose hashes are the same.

use std::collections::BTreeSet;

use super::data::rounds;
use super::fault::Fault;
use super::operators::whole;
use super::value::{ITEM_BYTES, Key, Value};
use crate::expr::work::Meter;

/// How many bytes are compared for a unit, in each round of a search.
const BYTES_PER_UNIT: usize = 16;

/// Keeps the first of each equal items, in their order.
pub(super) fn distinct<'a>(items: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let mut known = BTreeSet::new();
    let mut kept = Vec::new();
    for item in items {
        let mut key = Identity { bytes: Vec::new(), is_alone: false, meter };
        key.add(item)?;
        if !key.is_alone {
            meter.charge((rounds(known.len()) * (1 + key.bytes.len() / BYTES_PER_UNIT)) as u64 / 2)?;
            meter.keep(ITEM_BYTES)?;
            if !known.insert(key.bytes) {
                continue;
            }
        }
        kept.push(item.clone());
    }
    Value::list(kept, meter)
}

/// What makes a value the one it is.
struct Identity<'m, 'w> {
    bytes: Vec<u8>,
    /// Whether there is a NaN in it, so that it is equal to nothing.
    is_alone: bool,
    meter: &'m Meter<'w>,
}

impl Identity<'_, '_> {
    /// Goes as deep as the value is nested; charged as it goes, as one value may stand in another many times.
    fn add(&mut self, value: &Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Null => self.put(b'0', &[]),
            Value::Bool(truth) => self.put(b'b', &[u8::from(*truth)]),
            Value::Int(number) => self.whole(i128::from(*number)),
            Value::UInt(number) => self.whole(i128::from(*number)),
            Value::Double(number) => match whole(*number) {
                Some(number) => self.whole(number),
                None => {
                    self.is_alone |= number.is_nan();
                    self.put(b'd', &number.to_bits().to_be_bytes())
                }
            },
            Value::Text(text) => self.sized(b't', text.as_str().as_bytes()),
            Value::Bytes(bytes) => self.sized(b'y', bytes),
            Value::List(items) => {
                self.put(b'l', &items.len().to_be_bytes())?;
                items.iter().try_for_each(|item| self.add(item))
            }
            Value::Map(map) => {
                self.put(b'm', &map.entries().len().to_be_bytes())?;
                map.entries().iter().try_for_each(|(key, value)| {
                    self.key(key)?;
                    self.add(value)
                })
            }
            Value::Type(kind) => self.put(b'k', kind.name().as_bytes()),
            Value::Timestamp(time) => self.parts(b'z', time.parts()),
            Value::Duration(lapse) => self.parts(b's', lapse.parts()),
            Value::Optional(None) => self.put(b'n', &[]),
            Value::Optional(Some(held)) => {
                self.put(b'o', &[])?;
                self.add(held)
            }
        }
    }

    fn key(&mut self, key: &Key<'_>) -> Result<(), Fault> {
        match key {
            Key::Bool(key) => self.put(b'b', &[u8::from(*key)]),
            Key::Int(key) => self.whole(i128::from(*key)),
            Key::UInt(key) => self.whole(i128::from(*key)),
            Key::Text(key) => self.sized(b't', key.as_str().as_bytes()),
        }
    }

    /// Whole numbers are the same in every kind; what is beyond all whole kinds is so in none.
    fn whole(&mut self, number: i128) -> Result<(), Fault> {
        match (u64::try_from(number), i64::try_from(number)) {
            (Ok(number), _) => self.put(b'i', &number.to_be_bytes()),
            (Err(_), Ok(number)) => self.put(b'-', &number.to_be_bytes()),
            (Err(_), Err(_)) => self.put(b'I', &number.to_be_bytes()),
        }
    }

    fn parts(&mut self, sign: u8, (seconds, nanos): (i64, i32)) -> Result<(), Fault> {
        self.put(sign, &seconds.to_be_bytes())?;
        self.put(sign, &nanos.to_be_bytes())
    }

    fn sized(&mut self, sign: u8, bytes: &[u8]) -> Result<(), Fault> {
        self.put(sign, &bytes.len().to_be_bytes())?;
        self.meter.keep(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn put(&mut self, sign: u8, bytes: &[u8]) -> Result<(), Fault> {
        self.meter.keep(1 + bytes.len())?;
        self.bytes.push(sign);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
