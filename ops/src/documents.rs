//! How JSON and YAML from outside become values: strictly, so that nothing is lost or changed on the way.

use std::collections::HashSet;

use headwater_core::definition::{Definition, Problem as Finding, ProblemCode, Severity, compile};
use headwater_core::{Flaw, InvalidJson, Json};
use serde::Serialize;
use serde_json::Value;

use crate::codes::Code;

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

/// Reads the definitions in a text: one document, several YAML documents, an array of them, or `{"workflows": […]}`.
///
/// # Errors
/// See [`Unreadable`].
pub fn definitions(text: &str, spelling: Spelling) -> Result<Vec<Value>, Unreadable> {
    let documents = match spelling {
        Spelling::Json => vec![Json::parse_strict(text)?.to_value()],
        Spelling::Yaml => yaml(text)?,
    };
    let several = |document: Value| match document {
        Value::Array(documents) => documents,
        Value::Object(mut fields) if fields.len() == 1 && fields.get("workflows").is_some_and(Value::is_array) => {
            match fields.remove("workflows") {
                Some(Value::Array(documents)) => documents,
                Some(_) | None => Vec::new(),
            }
        }
        document => vec![document],
    };
    Ok(documents.into_iter().flat_map(several).collect())
}

fn yaml(text: &str) -> Result<Vec<Value>, Unreadable> {
    // As YAML 1.2 has it: `on` and `no` are words.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let code = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { .. } => Code::DuplicateKey,
            _ => Code::NotYaml,
        };
        Unreadable { code, detail: error.to_string() }
    })?;
    for document in &documents {
        Json::parse_strict(Json::of(document).as_str())?;
    }
    Ok(documents)
}

/// A finding, and which of the documents it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Located {
    /// Counted from 0.
    pub document: usize,
    pub slug: Option<String>,
    #[serde(flatten)]
    pub finding: Finding,
}

/// A definition that can be applied, with its warnings.
pub type Compiled = (Definition, Vec<Finding>);

/// Compiles all documents.
///
/// # Errors
/// Every finding about every document, warnings too; at least one is an error.
pub fn compile_all(documents: &[Value]) -> Result<Vec<Compiled>, Vec<Located>> {
    let (mut compiled, mut findings, mut refused) = (Vec::new(), Vec::new(), false);
    let mut slugs = HashSet::new();
    for (at, document) in documents.iter().enumerate() {
        let slug = document.get("slug").and_then(Value::as_str).map(str::to_owned);
        let located = |finding| Located { document: at, slug: slug.clone(), finding };
        match compile(document) {
            Ok((definition, warnings)) => {
                findings.extend(warnings.iter().cloned().map(located));
                if !slugs.insert(definition.slug.clone()) {
                    refused = true;
                    findings.push(located(Finding {
                        path: "/slug".to_owned(),
                        code: ProblemCode::Duplicate,
                        severity: Severity::Error,
                        message: format!("another document is `{}` too", definition.slug),
                    }));
                }
                compiled.push((definition, warnings));
            }
            Err(problems) => {
                refused = true;
                findings.extend(problems.0.into_iter().map(located));
            }
        }
    }
    if refused { Err(findings) } else { Ok(compiled) }
}

/// Lists the findings of all definitions, in order.
pub fn located(compiled: &[Compiled]) -> impl Iterator<Item = Located> {
    compiled.iter().enumerate().flat_map(|(document, (definition, findings))| {
        let slug = Some(definition.slug.to_string());
        findings.iter().cloned().map(move |finding| Located { document, slug: slug.clone(), finding })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
