//! Arithmetic, order and equality.

use std::cmp::Ordering;

use super::fault::Fault;
use super::nested::List;
use super::value::{ITEM_BYTES, Kind, Probe, Value};
use crate::expr::work::Meter;

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(in super::super) const ALL: [(&'static str, &'static str, Self); 12] = [
        ("_+_", "+", Self::Add),
        ("_-_", "-", Self::Subtract),
        ("_*_", "*", Self::Multiply),
        ("_/_", "/", Self::Divide),
        ("_%_", "%", Self::Remainder),
        ("_==_", "==", Self::Equal),
        ("_!=_", "!=", Self::NotEqual),
        ("_<_", "<", Self::Less),
        ("_<=_", "<=", Self::LessOrEqual),
        ("_>_", ">", Self::Greater),
        ("_>=_", ">=", Self::GreaterOrEqual),
        ("@in", "in", Self::In),
    ];

    pub(in super::super) fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, _, known)| *known == self).map_or("", |(_, sign, _)| sign)
    }

    /// Returns of which kind the result is for values of these kinds; nothing where there is never one.
    pub(in super::super) fn result(self, left: Kind, right: Kind) -> Option<Kind> {
        use Kind::{Bool, Bytes, Double, Duration, Int, List, Map, Text, Timestamp, UInt};
        match (self, left, right) {
            (Self::Equal | Self::NotEqual, ..) | (Self::In, _, List | Map) => Some(Bool),
            (Self::In, ..) => None,
            (Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual, ..) => {
                let has_order = left == right && matches!(left, Bool | Text | Bytes | Timestamp | Duration);
                (has_order || left.is_number() && right.is_number()).then_some(Bool)
            }
            (Self::Remainder, Double, Double) => None,
            (_, Int | UInt | Double, _) => (left == right).then_some(left),
            (Self::Add, Text | Bytes | List | Duration, _) if left == right => Some(left),
            (Self::Add, Timestamp, Duration) | (Self::Add, Duration, Timestamp) => Some(Timestamp),
            (Self::Subtract, Timestamp, Duration) => Some(Timestamp),
            (Self::Subtract, Timestamp, Timestamp) | (Self::Subtract, Duration, Duration) => Some(Duration),
            (Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder, ..) => None,
        }
    }

    /// Applies the operator.
    pub(super) fn apply<'a>(self, left: &Value<'a>, right: &Value<'a>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
        match self {
            Self::Equal => equal(left, right, meter).map(Value::Bool),
            Self::NotEqual => equal(left, right, meter).map(|equal| Value::Bool(!equal)),
            Self::Less => self.order(left, right, meter, &[Ordering::Less]),
            Self::LessOrEqual => self.order(left, right, meter, &[Ordering::Less, Ordering::Equal]),
            Self::Greater => self.order(left, right, meter, &[Ordering::Greater]),
            Self::GreaterOrEqual => self.order(left, right, meter, &[Ordering::Greater, Ordering::Equal]),
            Self::In => contains(right, left, meter).map(Value::Bool),
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => match (left, right) {
                (Value::Int(left), Value::Int(right)) => self.of_ints(*left, *right),
                (Value::UInt(left), Value::UInt(right)) => self.of_uints(*left, *right),
                (Value::Double(left), Value::Double(right)) => self.of_doubles(*left, *right),
                _ => match self.of_times(left, right) {
                    Some(result) => {
                        result.ok_or_else(|| Fault::new(format!("`{}` leaves the range of times", self.sign())))
                    }
                    None if self == Self::Add => join(left, right, meter),
                    None => Err(self.unfit(left.kind(), right.kind())),
                },
            },
        }
    }

    fn of_ints<'a>(self, left: i64, right: i64) -> Result<Value<'a>, Fault> {
        let by = [i64::checked_add, i64::checked_sub, i64::checked_mul, i64::checked_div, i64::checked_rem];
        self.of_whole(left, right, by).map(Value::Int)
    }

    fn of_uints<'a>(self, left: u64, right: u64) -> Result<Value<'a>, Fault> {
        let by = [u64::checked_add, u64::checked_sub, u64::checked_mul, u64::checked_div, u64::checked_rem];
        self.of_whole(left, right, by).map(Value::UInt)
    }

    fn of_whole<N: Default + PartialEq>(
        self,
        left: N,
        right: N,
        [add, subtract, multiply, divide, remainder]: [fn(N, N) -> Option<N>; 5],
    ) -> Result<N, Fault> {
        let result = match self {
            Self::Add => add(left, right),
            Self::Subtract => subtract(left, right),
            Self::Multiply => multiply(left, right),
            Self::Divide | Self::Remainder if right == N::default() => return Err(Fault::new("division by zero")),
            Self::Divide => divide(left, right),
            _ => remainder(left, right),
        };
        result.ok_or_else(|| self.overflow())
    }

    fn of_doubles<'a>(self, left: f64, right: f64) -> Result<Value<'a>, Fault> {
        match self {
            Self::Add => Ok(Value::Double(left + right)),
            Self::Subtract => Ok(Value::Double(left - right)),
            Self::Multiply => Ok(Value::Double(left * right)),
            Self::Divide => Ok(Value::Double(left / right)),
            _ => Err(Fault::new("`%` takes two whole numbers, not double and double")),
        }
    }

    /// Adds and subtracts times and durations; nothing where that is not asked.
    fn of_times<'a>(self, left: &Value<'_>, right: &Value<'_>) -> Option<Option<Value<'a>>> {
        match (self, left, right) {
            (Self::Add, Value::Timestamp(time), Value::Duration(lapse))
            | (Self::Add, Value::Duration(lapse), Value::Timestamp(time)) => {
                Some(time.plus(*lapse).map(Value::Timestamp))
            }
            (Self::Subtract, Value::Timestamp(time), Value::Duration(lapse)) => {
                Some(time.minus(*lapse).map(Value::Timestamp))
            }
            (Self::Subtract, Value::Timestamp(left), Value::Timestamp(right)) => {
                Some(left.since(*right).map(Value::Duration))
            }
            (Self::Add, Value::Duration(left), Value::Duration(right)) => Some(left.plus(*right).map(Value::Duration)),
            (Self::Subtract, Value::Duration(left), Value::Duration(right)) => {
                Some(left.minus(*right).map(Value::Duration))
            }
            _ => None,
        }
    }

    fn overflow(self) -> Fault {
        Fault::new(format!("`{}` leaves the range of its numbers", self.sign()))
    }

    fn unfit(self, left: Kind, right: Kind) -> Fault {
        if left.is_number() && right.is_number() {
            let kind = match (left, right) {
                _ if self == Self::Remainder && (left == Kind::Double || right == Kind::Double) => "int",
                (Kind::Double, _) | (_, Kind::Double) => "double",
                _ => "int",
            };
            return Fault::new(format!(
                "`{}` takes two numbers of the same kind, not {} and {}: write {kind}(…)",
                self.sign(),
                left.name(),
                right.name()
            ));
        }
        Fault::unfit(self.sign(), &[left, right])
    }

    fn order<'a>(
        self,
        left: &Value<'_>,
        right: &Value<'_>,
        meter: &Meter<'_>,
        wanted: &[Ordering],
    ) -> Result<Value<'a>, Fault> {
        let order = match (left, right) {
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::Text(left), Value::Text(right)) => {
                meter.scan(left.as_str().len().min(right.as_str().len()))?;
                Some(left.as_str().cmp(right.as_str()))
            }
            (Value::Bytes(left), Value::Bytes(right)) => {
                meter.scan(left.len().min(right.len()))?;
                Some(left.cmp(right))
            }
            (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
            (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
            _ if left.kind().is_number() && right.kind().is_number() => compare(left, right),
            _ => return Err(self.unfit(left.kind(), right.kind())),
        };
        let unordered = || Fault::new(format!("a {} and a {} have no order", left.kind().name(), right.kind().name()));
        order.map(|order| Value::Bool(wanted.contains(&order))).ok_or_else(unordered)
    }
}

/// Compares numbers of any kinds as numbers; NaN has no order.
pub(super) fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::UInt(left), Value::UInt(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::UInt(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::UInt(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Double(left), Value::Int(right)) => against_whole(*left, i128::from(*right)),
        (Value::Double(left), Value::UInt(right)) => against_whole(*left, i128::from(*right)),
        (Value::Int(left), Value::Double(right)) => against_whole(*right, i128::from(*left)).map(Ordering::reverse),
        (Value::UInt(left), Value::Double(right)) => against_whole(*right, i128::from(*left)).map(Ordering::reverse),
        _ => None,
    }
}

/// Compares without rounding the whole number.
fn against_whole(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond 2^100 there are no whole numbers of ours; within, the part before the point is exact.
    let bounded = double.clamp(-1e30, 1e30);
    let order = (bounded.trunc() as i128).cmp(&whole);
    Some(order.then(bounded.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)))
}

/// Returns the whole number a double stands for, if it is one of 64 bits.
pub(super) fn whole(double: f64) -> Option<i128> {
    let within = double.fract() == 0.0 && double.abs() < 1e20;
    within.then_some(double as i128)
}

/// Tells whether two values are equal. Numbers are equal across kinds; what is of different kinds is not.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>, meter: &Meter<'_>) -> Result<bool, Fault> {
    meter.charge(1)?;
    match (left, right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Text(left), Value::Text(right)) => {
            let (left, right) = (left.as_str(), right.as_str());
            if left.len() == right.len() {
                meter.scan(left.len())?;
            }
            Ok(left == right)
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            meter.scan(left.len().min(right.len()))?;
            Ok(left == right)
        }
        (Value::List(left), Value::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(left, right, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(left), Value::Map(right)) => {
            if left.entries().len() != right.entries().len() {
                return Ok(false);
            }
            for (at, (a, b)) in left.entries().iter().zip(right.entries()).enumerate() {
                meter.scan(left.search_bytes(Probe::Bool(true)))?;
                if !left.same_keys(right, at) || !equal(&a.1, &b.1, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Type(left), Value::Type(right)) => Ok(left == right),
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(left == right),
        (Value::Duration(left), Value::Duration(right)) => Ok(left == right),
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (None, None) => Ok(true),
            (Some(left), Some(right)) => equal(left, right, meter),
            (None, Some(_)) | (Some(_), None) => Ok(false),
        },
        _ => Ok(compare(left, right) == Some(Ordering::Equal)),
    }
}

fn contains(container: &Value<'_>, wanted: &Value<'_>, meter: &Meter<'_>) -> Result<bool, Fault> {
    match container {
        Value::List(items) => {
            for item in items.iter() {
                if equal(item, wanted, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => match Probe::of(wanted) {
            Some(Some(probe)) => {
                meter.scan(map.search_bytes(probe))?;
                Ok(map.get(probe).is_some())
            }
            Some(None) => Ok(false),
            None => Err(Operator::In.unfit(wanted.kind(), Kind::Map)),
        },
        other => Err(Operator::In.unfit(wanted.kind(), other.kind())),
    }
}

/// `+` of what is no number.
fn join<'a>(left: &Value<'a>, right: &Value<'a>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let (left, right) = (left.as_str(), right.as_str());
            meter.keep(ITEM_BYTES + left.len() + right.len())?;
            let mut text = String::with_capacity(left.len() + right.len());
            text.push_str(left);
            text.push_str(right);
            Ok(Value::Text(super::value::Text::Made(text.into())))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            meter.keep(ITEM_BYTES + left.len() + right.len())?;
            Ok(Value::Bytes([&left[..], &right[..]].concat().into()))
        }
        (Value::List(left), Value::List(right)) => {
            meter.keep(ITEM_BYTES * (left.len() + right.len()))?;
            List::of(left.iter().chain(right.iter()).cloned().collect()).map(Value::List)
        }
        _ => Err(Operator::Add.unfit(left.kind(), right.kind())),
    }
}
