//! Patterns of schemas that look within characters, which no schema of ECMA 262 does and no text should be matched by.
//!
//! With Unicode turned off (`(?-u:\\B)`) a match may be empty and lie within a character. It is not wanted, and the library looks
//! for another from each byte on: one text of a megabyte would take hours. So such patterns are refused where schemas come in,
//! and where a journal holds one it is read as if it had left Unicode on.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// What flags of a group may be.
const FLAGS: &[u8] = b"imsUuxR-";

/// Returns the first pattern in a schema that turns Unicode off.
pub(super) fn within_characters(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(keywords) => {
            let keys = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
            let patterns = keywords.get("pattern").and_then(Value::as_str).into_iter().chain(keys.map(String::as_str));
            let mut found = patterns.filter(|pattern| off(pattern).is_some());
            found.next().or_else(|| keywords.values().find_map(within_characters))
        }
        Value::Array(items) => items.iter().find_map(within_characters),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Has the patterns among keywords read characters, whatever they say.
pub(super) fn read_characters(keywords: &mut Map<String, Value>) {
    if let Some(Value::String(pattern)) = keywords.get_mut("pattern")
        && let Cow::Owned(read) = of_characters(pattern)
    {
        *pattern = read;
    }
    if let Some(Value::Object(patterns)) = keywords.get_mut("patternProperties")
        && patterns.keys().any(|pattern| off(pattern).is_some())
    {
        let read = |(pattern, schema): (String, Value)| (of_characters(&pattern).into_owned(), schema);
        *patterns = std::mem::take(patterns).into_iter().map(read).collect();
    }
}

fn of_characters(pattern: &str) -> Cow<'_, str> {
    let mut read = Cow::Borrowed(pattern);
    while let Some((start, end)) = off(&read) {
        let (on, off) = read[start..end].split_once('-').unwrap_or_default();
        let off: String = off.chars().filter(|flag| *flag != 'u').collect();
        let flags = if off.is_empty() { on.to_owned() } else { format!("{on}-{off}") };
        let colon = if flags.is_empty() && !read[end..].starts_with(':') { ":" } else { "" };
        read = Cow::Owned(format!("{}{flags}{colon}{}", &read[..start], &read[end..]));
    }
    read
}

/// Finds flags that turn Unicode off, as the bytes from behind the `?` to the `:` or `)`.
fn off(pattern: &str) -> Option<(usize, usize)> {
    // Where white space means nothing, it and comments may stand between the bracket and its flags.
    let opens = |before: &str| before.trim_end().ends_with('(') || before.contains('#');
    pattern.match_indices('?').find_map(|(at, _)| {
        let start = at + 1;
        let length = pattern[start..].bytes().take_while(|byte| FLAGS.contains(byte)).count();
        let (flags, behind) = pattern[start..].split_at(length);
        let is_off = flags.split_once('-').is_some_and(|(_, off)| off.contains('u'));
        (is_off && behind.starts_with([':', ')']) && opens(&pattern[..at])).then_some((start, start + length))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unicode_stays_on() {
        let cases = [
            ("(?-u:\\B)|q", "(?:\\B)|q"),
            ("(?-u)\\B", "(?:)\\B"),
            ("(?i-u)a(?s-iu:b)", "(?i)a(?s-i:b)"),
            ("(?x)( ?-u:a)(#\n?-u:b)", "(?x)( ?:a)(#\n?:b)"),
            ("(?i-s:u)|(https?-url)|-u:|(?u:a)", "(?i-s:u)|(https?-url)|-u:|(?u:a)"),
        ];
        for (pattern, read) in cases {
            assert_eq!(of_characters(pattern), read);
            assert_eq!(off(pattern).is_some(), pattern != read);
        }
    }

    #[test]
    fn a_pattern_is_found_wherever_it_stands() {
        let one = json!({"properties": {"a": {"items": {"patternProperties": {"(?-u:x)": true}}}}});
        assert_eq!(within_characters(&one), Some("(?-u:x)"));
        assert_eq!(within_characters(&json!({"allOf": [{"pattern": "x"}, {"pattern": "(?-u)"}]})), Some("(?-u)"));
        assert_eq!(within_characters(&json!({"pattern": "^(?i:x)$"})), None);
    }
}
