//! Facts of the functions that look for a pattern: what is found where, as RE2 has it.

use serde_json::{Value, json};

use super::evaluate;

fn input() -> Value {
    json!({"mail": "From: ada@example.org, bob@example.com", "u": "größe und Öl 😀x"})
}

/// Each of these is true.
const TRUE: &[&str] = &[
    // The first match: its group, or the whole where there is none.
    "regex.extract('item-42-x7', '[0-9]+') == optional.of('42') && regex.extract('item-42', '-([0-9]+)').value() == '42'",
    "!regex.extract('abc', '[0-9]').hasValue() && regex.extract('', '').value() == '' && regex.extract('abc', 'x').orValue('-') == '-'",
    "regex.extract('abc', '(x)?b') == optional.none() && regex.extract('abc', '(x*)b').value() == '' && regex.extract('abc', '(?:a)(b)').value() == 'b'",
    "regex.extract(input.mail, '(\\\\w+)@').value() == 'ada' && regex.extract(input.u, '\\\\bÖ\\\\w').value() == 'Öl'",
    // Leftmost, and there the first alternative, greedy or not.
    "regex.extract('samwise', 'sam|samwise').value() == 'sam' && regex.extract('samwise', 'samwise|sam').value() == 'samwise'",
    "regex.extract('<a><b>', '<.*>').value() == '<a><b>' && regex.extract('<a><b>', '<.*?>').value() == '<a>'",
    "regex.extract('aab', 'a.*b|a').value() == 'aab' && regex.extract('aac', 'a.*b|a').value() == 'a'",
    // All of them.
    "regex.extractAll('a1b22c333', '[0-9]+') == ['1', '22', '333'] && regex.extractAll('abc', '[0-9]') == [] && regex.extractAll('', 'a') == []",
    "regex.extractAll(input.mail, '@([a-z]+)') == ['example', 'example'] && regex.extractAll('k=v, x=, y=z', '(\\\\w+)=') == ['k', 'x', 'y']",
    "regex.extractAll('abab', '(x)?b') == [] && regex.extractAll('axbb', 'a?(x)?b') == ['x'] && regex.extractAll('aXbX', '(?i)x') == ['X', 'X']",
    // What stands before and behind a match is seen: only the first is at the beginning, none is where the last ended.
    "regex.extractAll('aaa', '^a') == ['a'] && regex.extractAll('aa\\na', '(?m)^a') == ['a', 'a'] && regex.extractAll('aaa', 'a$') == ['a']",
    "regex.extractAll('ab ab', '\\\\bab\\\\b') == ['ab', 'ab'] && regex.extractAll('abab', '\\\\bab') == ['ab'] && regex.extractAll('äa a', '\\\\ba') == ['a']",
    // Empty matches: between characters, never within one, never beside the match before.
    "regex.extractAll('ab', '') == ['', '', ''] && regex.extractAll('äö', '') == ['', '', ''] && regex.extractAll('baac', 'a*') == ['', 'aa', '']",
    "size(regex.extractAll('😀', '(?-u:\\\\B)')) == 2 && size(regex.extractAll('a-a-ä', '(?-u:\\\\B)|\\\\bq')) == 2",
    "regex.extractAll(input.u, '\\\\w+') == ['größe', 'und', 'Öl', 'x'] && regex.extractAll(input.u, '.') == input.u.split('')",
    // Replaced.
    "regex.replace('a1b22', '[0-9]+', '#') == 'a#b#' && regex.replace('abc', 'x', 'y') == 'abc' && regex.replace('', '', 'x') == 'x'",
    r"regex.replace('2024-05-06', '([0-9]+)-([0-9]+)-([0-9]+)', r'\3.\2.\1') == '06.05.2024' && regex.replace('ab', '[ab]', r'<\0>') == '<a><b>'",
    r"regex.replace('a.b', r'\.', r'\\') == r'a\b' && regex.replace('ab', '(x)?b', r'[\1]') == 'a[]' && regex.replace('ab', 'b', '') == 'a'",
    r"regex.replace('baac', 'a*', '-') == '-b-c-' && regex.replace('äö', '', '.') == '.ä.ö.' && regex.replace('x', '(x)', r'\1\1\10') == 'xxx0'",
    r"regex.replace('price: $5', r'\$([0-9])', '$1') == 'price: $1' && regex.replace('größe', '[äöüß]', '_') == 'gr__e'",
    "['a1', 'b2'].map(s, regex.extract(s, '[0-9]').value()) == ['1', '2'] && ['x'].map(regex, regex + '!') == ['x!']",
    // Together with what was there before.
    "'abc'.matches('(b)') && regex.extract('abc', '(b)').value() == 'b' && 'abc'.matches('(b)') && 'xx'.matches('(((((((((((x)))))))))))')",
];

/// Each of these has no value, and says why.
const FAULTS: &[(&str, &str)] = &[
    ("regex.extract('a', '(')", "`regex.extract`: not a regular expression: "),
    ("regex.extractAll('a', '(?=a)')", "`regex.extractAll`: not a regular expression: "),
    (r"regex.replace('a', r'\1', '')", "`regex.replace`: not a regular expression: "),
    (
        "regex.extract('ab', '(a)(b)')",
        "`regex.extract`: the pattern has 2 groups, and at most one is extracted: write (?:…) for the others",
    ),
    ("regex.extractAll('', '((a))')", "`regex.extractAll`: the pattern has 2 groups, and at most one is extracted"),
    (
        "regex.replace('', '(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)', '')",
        "`regex.replace`: the pattern has 10 groups, and may have 9: write (?:…) for the others",
    ),
    (r"regex.replace('a', 'a', r'\1')", "`regex.replace`: the replacement names the group 1, and the pattern has 0"),
    (r"regex.replace('b', '(a)', r'\2')", "`regex.replace`: the replacement names the group 2, and the pattern has 1"),
    (
        r"regex.replace('a', 'a', r'\x')",
        "`regex.replace`: a `\\` in the replacement stands before a digit or another `\\`",
    ),
    (r"regex.replace('a', 'a', '\\')", "`regex.replace`: a `\\` in the replacement stands before"),
    (r"regex.replace('a', 'a', r'\ä')", "`regex.replace`: a `\\` in the replacement stands before"),
    ("regex.extract(1, 'a')", "`regex.extract` cannot take (int, string)"),
    ("regex.extract('a')", "`regex.extract` cannot take (string)"),
    ("regex.replace('a', 'b', 1)", "`regex.replace` cannot take (string, string, int)"),
    ("'a'.extract('b')", "parse: there is no function `extract`"),
];

#[test]
fn what_patterns_find() {
    for source in TRUE {
        assert_eq!(evaluate(source, &input()), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_functions_of_patterns_refuse() {
    for (source, reason) in FAULTS {
        let found = evaluate(source, &input()).expect_err(source);
        assert!(found.starts_with(reason), "{source}: {found}");
    }
}
