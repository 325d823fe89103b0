//! How JSON and YAML from outside become values: strictly, so that nothing is lost or changed on the way.
//!
//! | module | question it answers |
//! |---|---|
//! | here | which definitions are in a text |
//! | `yaml` | what a text in YAML says |
//! | `checked` | can they be applied |
//! | `places` | where in the text is what was found |

mod checked;
mod places;
mod yaml;

use headwater_core::{Flaw, InvalidJson, Json};
use serde_json::Value;

use self::yaml::InvalidYaml;
use crate::codes::Code;

pub use checked::{Batch, Checked, CheckedAction, Checks, Located, Refused, check_all};
pub use places::{Aim, Place, Placed, locate, place};

/// How a text spells values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Json,
    Yaml,
}

/// Says why a text is not what the engine takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unreadable {
    pub code: Code,
    pub detail: String,
}

impl From<InvalidJson> for Unreadable {
    fn from(invalid: InvalidJson) -> Self {
        let code = match &invalid.flaw {
            Flaw::Syntax(_) | Flaw::LoneSurrogate => Code::NotJson,
            Flaw::NotUtf8(_) => Code::NotUtf8,
            Flaw::TooDeep => Code::TooDeep,
            Flaw::DuplicateKey(_) => Code::DuplicateKey,
            Flaw::NulCharacter => Code::NulCharacter,
            Flaw::NumberOutOfRange(_) | Flaw::NotADouble(_) => Code::NumberOutOfRange,
        };
        Self { code, detail: invalid.to_string() }
    }
}

impl From<InvalidYaml> for Unreadable {
    fn from(invalid: InvalidYaml) -> Self {
        match invalid {
            InvalidYaml::Json(invalid) => invalid.into(),
            InvalidYaml::Syntax(_) | InvalidYaml::Refused { .. } => {
                Self { code: Code::NotYaml, detail: invalid.to_string() }
            }
        }
    }
}

/// A definition in a text.
#[derive(Debug, Clone)]
pub struct Document {
    pub value: Value,
    /// Where it stands: a JSON Pointer into the list of the text's documents.
    pub root: String,
}

/// Reads the definitions in a text: one document, several YAML documents, an array of them, or `{"workflows": […]}`.
///
/// # Errors
/// See [`Unreadable`].
pub fn definitions(text: &str, spelling: Spelling) -> Result<Vec<Document>, Unreadable> {
    let documents = match spelling {
        Spelling::Json => vec![Json::parse_strict(text)?.to_value()],
        Spelling::Yaml => yaml::read(text)?,
    };
    let listed = |documents: Vec<Value>, root: String| {
        let each = documents.into_iter().enumerate();
        each.map(|(n, value)| Document { value, root: format!("{root}/{n}") }).collect()
    };
    let several = |(n, document): (usize, Value)| match document {
        Value::Array(documents) => listed(documents, format!("/{n}")),
        Value::Object(mut fields) if fields.len() == 1 && fields.get("workflows").is_some_and(Value::is_array) => {
            match fields.remove("workflows") {
                Some(Value::Array(documents)) => listed(documents, format!("/{n}/workflows")),
                Some(_) | None => Vec::new(),
            }
        }
        value => vec![Document { value, root: format!("/{n}") }],
    };
    Ok(documents.into_iter().enumerate().flat_map(several).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definitions(text: &str, spelling: Spelling) -> Result<Vec<Value>, Unreadable> {
        super::definitions(text, spelling).map(|found| found.into_iter().map(|document| document.value).collect())
    }

    #[test]
    fn one_document_or_several_in_any_form_are_a_list() {
        for text in [r#"{"slug":"a"}"#, r#"[{"slug":"a"}]"#, r#"{"workflows":[{"slug":"a"}]}"#] {
            assert_eq!(definitions(text, Spelling::Json).unwrap(), [json!({"slug": "a"})], "{text}");
        }
        let two = [json!({"slug": "a"}), json!({"slug": "b"})];
        assert_eq!(definitions("slug: a\n---\nslug: b\n", Spelling::Yaml).unwrap(), two);
        assert_eq!(definitions("workflows:\n- slug: a\n- {slug: b}\n", Spelling::Yaml).unwrap(), two);
    }

    #[test]
    fn the_words_of_definitions_stay_words_in_yaml() {
        let read =
            definitions("on: failure\nno: 'yes'\nyes: true\nn: 1\nf: 1.5\nnothing: ~\n", Spelling::Yaml).unwrap();
        assert_eq!(read, [json!({"on": "failure", "no": "yes", "yes": true, "n": 1, "f": 1.5, "nothing": null})]);
    }

    #[test]
    fn what_would_be_lost_is_refused_in_yaml_too() {
        let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
        let bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                    e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                    g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        let cases = [
            ("a: 1\na: 2\n", Some(Code::DuplicateKey)),
            ("a: \"\\0\"\n", Some(Code::NulCharacter)),
            ("a: [", Some(Code::NotYaml)),
            (deep.as_str(), None),
            (bomb, None),
        ];
        for (text, code) in cases {
            let refused = definitions(text, Spelling::Yaml).unwrap_err();
            assert!(code.is_none_or(|code| code == refused.code), "{text}: {refused:?}");
        }
    }

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        let cases = [
            ("010", json!(10)),
            ("08", json!(8)),
            ("-007", json!(-7)),
            ("+5", json!(5)),
            ("0", json!(0)),
            ("000", json!(0)),
            ("0o10", json!(8)),
            ("0x1F", json!(31)),
            ("0xg", json!("0xg")),
            ("-0x1", json!("-0x1")),
            ("0b1", json!("0b1")),
            ("1_000", json!("1_000")),
            ("1:30", json!("1:30")),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e3", json!(1000.0)),
            ("1E-2", json!(0.01)),
            ("1e20", json!(1e20)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            ("5.", json!(5.0)),
            ("01.50", json!(1.5)),
            (".", json!(".")),
            ("-", json!([null])),
            ("1.2.3", json!("1.2.3")),
            ("e3", json!("e3")),
            ("1e", json!("1e")),
            ("+", json!("+")),
            ("yes", json!("yes")),
            ("no", json!("no")),
            ("on", json!("on")),
            ("Off", json!("Off")),
            ("y", json!("y")),
            ("True", json!(true)),
            ("FALSE", json!(false)),
            ("tRUE", json!("tRUE")),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("NULL", json!(null)),
            ("", json!(null)),
            ("nULL", json!("nULL")),
            ("2026-01-01", json!("2026-01-01")),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
            ("\"010\"", json!("010")),
            ("'~'", json!("~")),
            ("|\n  010", json!("010\n")),
            ("!!str 010", json!("010")),
            ("! 010", json!("010")),
            ("!!int \"010\"", json!(10)),
            ("!!float 1", json!(1.0)),
            ("!!bool 'true'", json!(true)),
            ("!!null ''", json!(null)),
            ("!!seq [1]", json!([1])),
            ("!!map {a: 1}", json!({"a": 1})),
            ("[&a {x: 1}, *a, *a]", json!([{"x": 1}, {"x": 1}, {"x": 1}])),
            ("{a: &k key, *k : 1}", json!({"a": "key", "key": 1})),
            ("{<<: {a: 1}}", json!({"<<": {"a": 1}})),
            ("{? a : 1}", json!({"a": 1})),
        ];
        for (text, value) in cases {
            let read = definitions(&format!("v: {text}\n"), Spelling::Yaml);
            let read = if text == "-" { definitions("v:\n-\n", Spelling::Yaml) } else { read };
            assert_eq!(read.unwrap_or_else(|error| panic!("{text}: {error}")), [json!({"v": value})], "{text}");
        }
        let many = definitions("%YAML 1.2\n---\na: &x 1\n...\n---\n# nothing\n---\nb: 2\n", Spelling::Yaml).unwrap();
        assert_eq!(many, [json!({"a": 1}), json!(null), json!({"b": 2})]);
    }

    #[test]
    fn what_json_has_no_form_for_is_refused_in_yaml_with_its_place() {
        let cases = [
            ("a: 1\nv: .inf\n", Code::NotYaml, ".inf has no form in JSON at line 2"),
            ("v: -.INF\n", Code::NotYaml, "-.INF has no form in JSON at line 1"),
            ("v: .NaN\n", Code::NotYaml, ".NaN has no form"),
            ("v: !!binary aGk=\n", Code::NotYaml, "!!binary"),
            ("v: !Ref x\n", Code::NotYaml, "!Ref"),
            ("v: !!int x\n", Code::NotYaml, "\"x\" is not what the tag !!int says"),
            ("v: !!map [1]\n", Code::NotYaml, "!!map"),
            ("1: a\n", Code::NotYaml, "a key is not a text: put it in quotes at line 1"),
            ("true: a\n", Code::NotYaml, "a key is not a text"),
            ("~: a\n", Code::NotYaml, "a key is not a text"),
            ("? [a]\n: 1\n", Code::NotYaml, "a key is not a text"),
            ("a: *nothing\n", Code::NotYaml, "unknown anchor"),
            ("a: &a [*a]\n", Code::NotYaml, "alias"),
            ("x: &x 1\n---\ny: *x\n", Code::NotYaml, "unknown anchor"),
            ("v: 123456789012345678901\n", Code::NumberOutOfRange, "(at /v)"),
            ("v: 0xfffffffffffffffff\n", Code::NotYaml, "outside the 64-bit range"),
            ("v: 1e400\n", Code::NumberOutOfRange, "1e400"),
            ("v: {a: 1, \"a\": 2}\n", Code::DuplicateKey, "(at /v)"),
            ("v: \"\\0\"\n", Code::NulCharacter, "U+0000"),
            ("v: \"\\ud83d\"\n", Code::NotYaml, ""),
        ];
        for (text, code, detail) in cases {
            let refused = definitions(text, Spelling::Yaml).unwrap_err();
            assert_eq!(refused.code, code, "{text}: {refused}");
            assert!(refused.detail.contains(detail), "{text}: {refused}");
        }
    }
}
