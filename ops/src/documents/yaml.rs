//! YAML as JSON text, by the core schema of YAML 1.2: what the reader of JSON then judges, as it judges everything.
//!
//! Plain `010` is ten and `0o10` eight; `yes`, `no`, `on`, `off` and `1_000` are texts, and so is the key `<<`. What JSON
//! has no form for is refused with its line: `.inf`, `.nan`, other tags, keys that are not texts.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use headwater_core::{InvalidJson, Json};
use serde_json::Value;

/// How much JSON the documents of a text may become together: aliases are copies.
const JSON_BYTES_MAX: usize = 20 * 1024 * 1024;
/// What is opened and not closed; the reader of JSON says it better when it is only a little too deep.
const OPEN_MAX: usize = 2 * Json::DEPTH_MAX;

/// Says why a text is not YAML that can be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidYaml {
    #[error("not valid YAML: {0}")]
    Syntax(String),
    #[error("not valid YAML: {what} at line {line}")]
    Refused { what: String, line: usize },
    #[error(transparent)]
    Json(#[from] InvalidJson),
}

/// Reads every document of a text.
pub(super) fn read(text: &str) -> Result<Vec<Value>, InvalidYaml> {
    let mut documents = Vec::new();
    let mut writer = Writer::default();
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| {
            let hint = unquoted(text, error.marker().line());
            InvalidYaml::Syntax(format!("{error}{hint}"))
        })?;
        let ended = matches!(event, Event::DocumentEnd);
        writer.write(event).map_err(|what| InvalidYaml::Refused { what, line: line(&span) })?;
        if ended {
            let json = std::mem::take(&mut writer.json);
            writer.before += json.len();
            writer.anchors.clear();
            documents.push(Json::parse_strict(&json)?.to_value());
        }
    }
    Ok(documents)
}

/// What to do where an expression stands without quotes on the line, or the one before: its braces are YAML's.
fn unquoted(text: &str, line: usize) -> &'static str {
    let mut near = text.lines().skip(line.saturating_sub(2)).take(2);
    match near.any(|line| line.match_indices("${{").any(|(at, _)| !line[..at].ends_with(['"', '\'']))) {
        true => ": put a value with ${{ … }} in quotes",
        false => "",
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}

/// What is open: a sequence or a mapping, and how many nodes it has.
struct Open {
    mapping: bool,
    nodes: usize,
    anchor: usize,
    from: usize,
}

#[derive(Default)]
struct Writer {
    /// The document so far.
    json: String,
    /// Of the documents before.
    before: usize,
    open: Vec<Open>,
    /// Where in `json` the node of an anchor stands.
    anchors: HashMap<usize, (usize, usize)>,
}

impl Writer {
    fn write(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let json = scalar(&text, style, tag.as_deref())?;
                self.node(anchor, &json)?;
            }
            Event::SequenceStart(_, anchor, tag) => self.enter(false, anchor, tag.as_deref())?,
            Event::MappingStart(_, anchor, tag) => self.enter(true, anchor, tag.as_deref())?,
            Event::SequenceEnd => self.leave(']'),
            Event::MappingEnd => self.leave('}'),
            Event::Alias(anchor) => {
                let (from, to) = *self.anchors.get(&anchor).ok_or("an alias stands inside what it stands for")?;
                self.fits(to - from)?;
                let copy = self.json[from..to].to_owned();
                self.node(0, &copy)?;
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Comment(..)
            | Event::Anchor(..) => {}
            Event::UnresolvedAlias(name) => return Err(format!("the alias {name} stands for nothing")),
            // Theirs, and open to additions.
            _ => return Err("there is something that is not known here".to_owned()),
        }
        Ok(())
    }

    fn fits(&self, more: usize) -> Result<(), String> {
        if self.before + self.json.len() + more > JSON_BYTES_MAX {
            return Err(format!("with its aliases it is more than {JSON_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// Writes what stands before a node.
    fn separate(&mut self, is_text: bool) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let is_key = open.mapping && open.nodes.is_multiple_of(2);
        if is_key && !is_text {
            return Err("a key is not a text: put it in quotes".to_owned());
        }
        match (open.nodes, open.mapping && !is_key) {
            (0, _) => {}
            (_, true) => self.json.push(':'),
            (_, false) => self.json.push(','),
        }
        open.nodes += 1;
        Ok(())
    }

    fn node(&mut self, anchor: usize, json: &str) -> Result<(), String> {
        self.fits(json.len())?;
        self.separate(json.starts_with('"'))?;
        let from = self.json.len();
        self.json.push_str(json);
        self.anchors.insert(anchor, (from, self.json.len()));
        Ok(())
    }

    fn enter(&mut self, mapping: bool, anchor: usize, tag: Option<&Tag>) -> Result<(), String> {
        match (tag.map(core_name).transpose()?, mapping) {
            (None | Some("" | "seq"), false) | (None | Some("" | "map"), true) => {}
            (Some(name), _) => return Err(format!("the tag !!{name} does not belong to what stands there")),
        }
        if self.open.len() == OPEN_MAX {
            return Err(format!("nested deeper than {} levels", Json::DEPTH_MAX));
        }
        self.separate(false)?;
        self.open.push(Open { mapping, nodes: 0, anchor, from: self.json.len() });
        self.json.push(if mapping { '{' } else { '[' });
        Ok(())
    }

    fn leave(&mut self, end: char) {
        self.json.push(end);
        if let Some(Open { anchor, from, .. }) = self.open.pop() {
            self.anchors.insert(anchor, (from, self.json.len()));
        }
    }
}

/// Returns the name of a tag of the core schema; empty for `!`.
fn core_name(tag: &Tag) -> Result<&str, String> {
    match (tag.core_suffix(), tag.parts()) {
        (Some(name), _) => Ok(name),
        (None, ("" | "!", "") | ("", "!")) => Ok(""),
        (None, _) => Err(format!("there is no tag {} here", tag.original())),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<String, String> {
    let quoted = || Json::of(&text).as_str().to_owned();
    let unfit = |name: &str| format!("{text:?} is not what the tag !!{name} says");
    match tag.map(core_name).transpose()? {
        None if style == ScalarStyle::Plain => Ok(resolved(text)?.map_or_else(quoted, Cow::into_owned)),
        None | Some("" | "str") => Ok(quoted()),
        Some(name) => {
            let json = resolved(text)?.ok_or_else(|| unfit(name))?;
            match (name, json.as_ref()) {
                ("null", "null") | ("bool", "true" | "false") => Ok(json.into_owned()),
                ("int", json) if is_number(json) && !json.contains(['.', 'e', 'E']) => Ok(json.to_owned()),
                ("float", json) if is_number(json) && !json.contains(['.', 'e', 'E']) => Ok(format!("{json}.0")),
                ("float", json) if is_number(json) => Ok(json.to_owned()),
                _ => Err(unfit(name)),
            }
        }
    }
}

fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// Returns what a plain scalar is in JSON; nothing for a text (YAML 1.2.2, 10.3.2).
fn resolved(text: &str) -> Result<Option<Cow<'_, str>>, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".into(),
        "true" | "True" | "TRUE" => "true".into(),
        "false" | "False" | "FALSE" => "false".into(),
        ".nan" | ".NaN" | ".NAN" => return Err(format!("{text} has no form in JSON")),
        _ if matches!(unsigned, ".inf" | ".Inf" | ".INF") => return Err(format!("{text} has no form in JSON")),
        _ if is_digits(unsigned, 10) => format!("{sign}{}", without_zeros(unsigned)).into(),
        _ => match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
            (Some(digits), _) if is_digits(digits, 8) => whole(digits, 8, text)?.into(),
            (_, Some(digits)) if is_digits(digits, 16) => whole(digits, 16, text)?.into(),
            _ => match float(unsigned) {
                Some(float) => format!("{sign}{float}").into(),
                None => return Ok(None),
            },
        },
    }))
}

fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

fn without_zeros(digits: &str) -> &str {
    let kept = digits.trim_start_matches('0');
    if kept.is_empty() { "0" } else { kept }
}

fn whole(digits: &str, radix: u32, text: &str) -> Result<String, String> {
    let number = u64::from_str_radix(digits, radix).map_err(|_| format!("{text} is outside the 64-bit range"))?;
    Ok(number.to_string())
}

/// Returns an unsigned float as JSON writes it: `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`.
fn float(text: &str) -> Option<String> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let some_digit = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let right = exponent.is_none_or(|e| is_digits(e.strip_prefix(['-', '+']).unwrap_or(e), 10));
    if !digits(whole) || !fraction.is_none_or(digits) || !some_digit || !right {
        return None;
    }
    let fraction = fraction.map(|fraction| if fraction.is_empty() { ".0".to_owned() } else { format!(".{fraction}") });
    let exponent = exponent.map(|exponent| format!("e{exponent}"));
    Some(format!("{}{}{}", without_zeros(whole), fraction.unwrap_or_default(), exponent.unwrap_or_default()))
}
