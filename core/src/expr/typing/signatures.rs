//! What functions take and give. One that is not listed takes and gives anything.

use super::ANY;
use super::kinds::Kinds;
use crate::expr::eval::Kind;

const TEXT: Kinds = Kinds::one(Kind::Text);
const INT: Kinds = Kinds::one(Kind::Int);
const BOOL: Kinds = Kinds::one(Kind::Bool);
const LIST: Kinds = Kinds::one(Kind::List);
const MAP: Kinds = Kinds::one(Kind::Map);
const BYTES: Kinds = Kinds::one(Kind::Bytes);
const DOUBLE: Kinds = Kinds::one(Kind::Double);
const TIMESTAMP: Kinds = Kinds::one(Kind::Timestamp);
const DURATION: Kinds = Kinds::one(Kind::Duration);
const NUMBER: Kinds = Kinds::of(&[Kind::Int, Kind::UInt, Kind::Double]);

/// Returns what a function gives for arguments of these kinds.
///
/// # Errors
/// It takes none of them.
pub(super) fn result(name: &str, given: &[Kinds]) -> Result<Kinds, String> {
    let (taken, result) = signature(name);
    let fits = given.iter().zip(taken).all(|(given, taken)| given.meets(*taken));
    if fits {
        return Ok(result);
    }
    let given: Vec<String> = given.iter().map(Kinds::to_string).collect();
    let written = name.replace("math.@", "math.");
    Err(format!("`{written}` cannot take ({})", given.join(", ")))
}

/// What a function takes, as far as that can be said, and what it gives. The last arguments may be left out.
fn signature(name: &str) -> (&'static [Kinds], Kinds) {
    match name {
        "size" => (const { &[TEXT.or(BYTES).or(LIST).or(MAP)] }, INT),
        "contains" | "startsWith" | "endsWith" | "matches" => (&[TEXT, TEXT], BOOL),
        "indexOf" | "lastIndexOf" => (&[TEXT, TEXT, INT], INT),
        "charAt" => (&[TEXT, INT], TEXT),
        "substring" => (&[TEXT, INT, INT], TEXT),
        "split" => (&[TEXT, TEXT, INT], LIST),
        "replace" => (&[TEXT, TEXT, TEXT, INT], TEXT),
        "trim" | "lowerAscii" | "upperAscii" | "url.encode" => (&[TEXT], TEXT),
        "join" => (&[LIST, TEXT], TEXT),
        "reverse" => (const { &[TEXT.or(LIST)] }, TEXT.or(LIST)),
        "format" => (&[TEXT, LIST], TEXT),
        "string" => (const { &[TEXT.or(BOOL).or(NUMBER).or(BYTES).or(TIMESTAMP).or(DURATION)] }, TEXT),
        "int" => (const { &[TEXT.or(NUMBER).or(TIMESTAMP)] }, INT),
        "uint" => (const { &[TEXT.or(NUMBER)] }, Kinds::one(Kind::UInt)),
        "double" => (const { &[TEXT.or(NUMBER)] }, DOUBLE),
        "bool" => (const { &[TEXT.or(BOOL)] }, BOOL),
        "bytes" => (const { &[TEXT.or(BYTES)] }, BYTES),
        "type" => (&[], Kinds::one(Kind::Type)),
        "timestamp" => (const { &[TEXT.or(INT).or(TIMESTAMP)] }, TIMESTAMP),
        "duration" => (const { &[TEXT.or(DURATION)] }, DURATION),
        "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear" => {
            (&[TIMESTAMP, TEXT], INT)
        }
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => {
            (const { &[TIMESTAMP.or(DURATION), TEXT] }, INT)
        }
        "time.format" => (&[TIMESTAMP, TEXT, TEXT], TEXT),
        "time.parse" => (&[TEXT, TEXT, TEXT], TIMESTAMP),
        "time.truncate" => (&[TIMESTAMP, TEXT, TEXT], TIMESTAMP),
        "math.ceil" | "math.floor" | "math.round" | "math.trunc" => (&[DOUBLE], DOUBLE),
        "math.isNaN" | "math.isInf" | "math.isFinite" => (&[DOUBLE], BOOL),
        "math.abs" | "math.sign" => (&[NUMBER], NUMBER),
        "math.sqrt" => (&[NUMBER], DOUBLE),
        "lists.range" => (&[INT], LIST),
        "sort" | "distinct" => (&[LIST], LIST),
        "flatten" | "slice" => (&[LIST, INT, INT], LIST),
        "sum" | "min" | "max" => (&[LIST], ANY),
        "merge" => (&[MAP, MAP], MAP),
        "keys" | "values" => (&[MAP], LIST),
        "json.encode" => (&[], TEXT),
        "json.decode" => (&[TEXT], ANY),
        "base64.encode" | "hash.sha256" => (const { &[TEXT.or(BYTES)] }, TEXT),
        "base64.decode" => (&[TEXT], BYTES),
        "regex.extract" => (&[TEXT, TEXT], Kinds::one(Kind::Optional)),
        "regex.extractAll" => (&[TEXT, TEXT], LIST),
        "regex.replace" => (&[TEXT, TEXT, TEXT], TEXT),
        "hasValue" => (const { &[Kinds::one(Kind::Optional)] }, BOOL),
        _ => (&[], ANY),
    }
}
