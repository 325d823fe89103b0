//! Functions of data over inputs as large as they may be.

use serde_json::{Value, json};

use crate::{keys, numbers};

/// Takes its numbers from all over the range, always the same ones.
fn scattered(count: u64) -> Value {
    (0..count).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 12).collect()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!([]), |inner, _| json!([inner, inner]))
}

/// Lists and maps.
pub fn lists() -> Vec<(&'static str, Value)> {
    let alike: Vec<String> = (0..900).map(|n| format!("{}{n}", "x".repeat(1000))).collect();
    let l = numbers(1000);
    vec![
        ("lists.range(100000).all(x, size(lists.range(100000)) > 0)", json!({})),
        ("lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, true)))", json!({})),
        ("lists.range(100000).map(x, lists.range(0)).flatten() == [1]", json!({})),
        ("input.l.all(x, input.o.sort() != [])", json!({"l": l, "o": scattered(90_000)})),
        ("input.l.all(x, input.o.sort() != [])", json!({"l": l, "o": alike})),
        ("input.l.all(x, (input.o + ['a', null]).sort() == [] || true)", json!({"l": l, "o": alike})),
        ("input.l.all(x, (input.o + [null]).sort() == [] || true)", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, size((input.o + input.o).distinct()) > 0)", json!({"l": l, "o": scattered(50_000)})),
        ("size(lists.range(100000).distinct()) > 0", json!({})),
        ("input.l.all(x, size(input.o.distinct()) > 0)", json!({"l": l, "o": alike})),
        ("input.l.all(x, size(input.o.map(s, [s]).distinct()) > 0)", json!({"l": l, "o": alike})),
        ("size(lists.range(50000).map(x, 0.0 / 0.0).distinct()) > 0", json!({})),
        (
            "[input.o].map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]).distinct() == []",
            json!({"o": l}),
        ),
        (
            "[input.o].map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, [x,x,x,x]).flatten(9) == []",
            json!({"o": l}),
        ),
        (
            "[[[]]].map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).flatten(99) == []",
            json!({}),
        ),
        ("input.l.all(x, input.o.flatten(99) == [])", json!({"l": l, "o": nested(15)})),
        ("input.l.all(x, input.o.slice(1, 90000) != [])", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, input.o.reverse() != [])", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, input.o.sum() > 0)", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, (input.o + ['a']).sum() > 0 || true)", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, input.o.min() < input.o.max())", json!({"l": l, "o": numbers(100_000)})),
        ("input.l.all(x, input.o.min() < input.o.max())", json!({"l": numbers(100_000), "o": alike})),
        ("input.l.all(x, input.m.merge({string(x): x}).size() > 0)", json!({"l": l, "m": keys(30_000)})),
        ("input.l.all(x, input.m.merge(input.m) == {})", json!({"l": l, "m": {"a".repeat(400_000): 1}})),
        ("input.l.all(x, input.m.keys() != input.m.values())", json!({"l": l, "m": keys(30_000)})),
    ]
}

/// Encodings, and texts with values in them.
pub fn encodings() -> Vec<(&'static str, Value)> {
    let l = numbers(1000);
    let long = "x".repeat(900_000);
    let odd = "ü\"".repeat(200_000);
    let table: Vec<Value> = (0..20_000).map(|n| json!({"id": n, "name": format!("n{n}")})).collect();
    let text = Value::from(table.clone()).to_string();
    vec![
        ("input.l.all(x, json.encode(input.o) != '')", json!({"l": l, "o": table})),
        ("input.l.all(x, json.encode(input.o + [b'x']) != '' || true)", json!({"l": l, "o": table})),
        ("[input.o + [b'x']].map(o, input.l.all(x, json.encode(o) != '' || true))", json!({"l": l, "o": table})),
        ("[input.o].map(x, [x,x,x,x]).map(x, [x,x,x,x]).map(x, json.encode(x)) != []", json!({"o": table})),
        ("input.l.all(x, json.encode(input.s) != '')", json!({"l": l, "s": odd})),
        ("input.l.all(x, json.decode(input.s) != 1)", json!({"l": l, "s": text})),
        ("input.l.all(x, json.decode('' + input.s) != 1)", json!({"l": l, "s": text})),
        ("input.l.all(x, json.decode(input.s + 'x') != 1 || true)", json!({"l": l, "s": text})),
        ("[input.s + 'x'].map(s, input.l.all(x, json.decode(s) != 1 || true))", json!({"l": l, "s": text})),
        ("input.l.all(x, json.decode(input.s) != 1 || true)", json!({"l": l, "s": "[".repeat(900_000)})),
        ("input.l.all(x, json.decode(input.s) != 1)", json!({"l": l, "s": format!("[{}1]", "[],".repeat(200_000))})),
        ("input.l.all(x, json.decode(input.s) != 1)", json!({"l": l, "s": keys(20_000).to_string()})),
        ("input.l.all(x, base64.encode(input.s) != '')", json!({"l": l, "s": long})),
        ("input.l.all(x, base64.decode(input.s) != b'')", json!({"l": l, "s": long})),
        ("[input.s + '!'].map(s, input.l.all(x, base64.decode(s) != b'' || true))", json!({"l": l, "s": long})),
        ("input.l.all(x, hash.sha256(input.s) != '')", json!({"l": l, "s": long})),
        ("input.o.all(x, hash.sha256('') != '')", json!({"o": numbers(100_000)})),
        ("input.l.all(x, url.encode(input.s) != '')", json!({"l": l, "s": odd})),
        ("input.l.all(x, '%s%s%s%s'.format([input.s, input.s, input.s, input.s]) != '')", json!({"l": l, "s": long})),
        ("input.l.all(x, input.s.format([]) != '')", json!({"l": l, "s": "%%".repeat(200_000)})),
        (
            "input.l.all(x, input.s.format(input.o) != '' || true)",
            json!({"l": l, "s": "%.20f".repeat(90_000), "o": numbers(80_000)}),
        ),
        (
            "input.l.all(x, input.s.format(input.o) != '' || true)",
            json!({"l": l, "s": format!("{}%x", "%s".repeat(80_000)), "o": numbers(80_000)}),
        ),
        ("input.l.all(x, '%s'.format([input.o + [b'x']]) != '' || true)", json!({"l": l, "o": table})),
    ]
}

/// Patterns that are looked for again and again.
pub fn patterns() -> Vec<(&'static str, Value)> {
    let l = numbers(1000);
    let long = "x".repeat(900_000);
    let words = "ab ".repeat(300_000);
    let umlauts = "äö ".repeat(180_000);
    let within = format!("{}aä", "a-".repeat(400_000));
    vec![
        (r#"size(regex.extractAll(input.s, "(?-u:\\B)|\\bq")) > 0"#, json!({"s": within})),
        (r#"size(regex.extractAll(input.s, "(?-u:\\B)")) > 0"#, json!({"s": within})),
        (r#"size(regex.extractAll(input.s, "x.*y|x")) > 0"#, json!({"s": long})),
        (r#"size(regex.extractAll(input.s, "x*?")) > 0"#, json!({"s": long})),
        (r#"size(regex.extractAll(input.s, "")) > 0"#, json!({"s": umlauts})),
        (r#"size(regex.extractAll(input.s, "[ab ]*a[ab ]{12}c|a")) > 0"#, json!({"s": words})),
        (r#"size(regex.extractAll(input.s, "\\b\\w+\\b")) > 0"#, json!({"s": umlauts})),
        (r#"input.l.all(x, regex.extract(input.s, "(x+x+)+y").hasValue())"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, !regex.extract(input.s, "(y)").hasValue())"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, regex.extract(input.s, "^(x{1,500}){1,8}").hasValue())"#, json!({"l": l, "s": long})),
        (r#"input.l.all(x, regex.extract("a", "(a)|" + string(x)).hasValue())"#, json!({"l": l})),
        (r#"input.l.all(x, !regex.extract("a", "((a)" + string(x)).hasValue() || true)"#, json!({"l": l})),
        (
            r#"input.l.all(x, size(regex.extractAll(input.s, "((((((((((((a))))))))))))")) > 0 || true)"#,
            json!({"l": l, "s": long}),
        ),
        (
            r#"input.l.all(x, size(regex.extractAll("", "((((((((((a{15}){15}))))))))){8}" + string(x))) > 0 || true)"#,
            json!({"l": l}),
        ),
        (r#"input.l.all(x, regex.replace(input.s, "x", "") == "")"#, json!({"l": l, "s": long})),
        (
            r#"size(regex.replace(input.s, "(x)", input.r)) > 0"#,
            json!({"s": "x".repeat(500_000), "r": "\\1".repeat(200_000)}),
        ),
        (
            r#"size(regex.replace(input.s, ".*", input.r)) > 0"#,
            json!({"s": "x".repeat(10_000), "r": "\\0".repeat(200_000)}),
        ),
        (r#"input.l.all(x, regex.replace("", "a", input.r) == "")"#, json!({"l": l, "r": "\\0".repeat(400_000)})),
        (
            r#"size(regex.replace(input.s, "(((((((((a)*)*)*)*)*)*)*)*)*", "b")) > 0"#,
            json!({"s": "aab".repeat(100_000)}),
        ),
    ]
}

/// Times that are read, written and looked up again and again.
pub fn times() -> Vec<(&'static str, Value)> {
    let l = numbers(100_000);
    let pattern = "%A".repeat(100);
    let rfc = "2025-11-26T12:00:00.123456789+01:00";
    vec![
        ("input.l.map(x, now)", json!({"l": l})),
        ("input.l.map(x, string(now - duration('1w1d1h1m1s1ms1us1ns')))", json!({"l": l})),
        ("input.l.all(x, timestamp(input.t) > now)", json!({"l": l, "t": rfc})),
        ("input.l.all(x, now.getHours('America/Argentina/ComodRivadavia') > 0)", json!({"l": l})),
        ("input.l.all(x, now.getHours(input.z + string(x)) > 0 || true)", json!({"l": l, "z": "x".repeat(800_000)})),
        ("input.l.all(x, time.format(now, input.p, 'Europe/Berlin') != '')", json!({"l": l, "p": pattern})),
        ("input.l.all(x, time.format(now, input.p) != '' || true)", json!({"l": l, "p": format!("{pattern}%")})),
        (
            "input.l.all(x, time.parse(input.t, '%F %T', 'Asia/Tokyo') > now)",
            json!({"l": l, "t": "1999-11-26 12:00:00"}),
        ),
        ("input.l.all(x, time.parse(input.t, '%F %B') < now || true)", json!({"l": l, "t": "2025-11-26 Novembex"})),
        ("input.l.all(x, time.truncate(now, 'week', 'America/Sao_Paulo') < now)", json!({"l": l})),
        ("input.l.map(x, now + duration(string(x) + 's')).sort() == []", json!({"l": l})),
        ("size(input.l.map(x, now + duration(string(x) + 's')).distinct()) > 0", json!({"l": l})),
        (
            "input.l.all(x, timestamp(input.t) > now || true)",
            json!({"l": l, "t": "2025-11-26T12:00:00.123456789+24:00"}),
        ),
        ("input.l.all(x, duration(input.d) != duration('1s') || true)", json!({"l": l, "d": "1h".repeat(100)})),
        ("json.encode(input.l.map(x, now)) != ''", json!({"l": l})),
    ]
}

/// Lists made into one value.
pub fn reductions() -> Vec<(&'static str, Value)> {
    let l = numbers(1000);
    let long = "x".repeat(900_000);
    let alike: Vec<String> = (0..900).map(|n| format!("{}{n}", "x".repeat(1000))).collect();
    vec![
        ("lists.range(100000).fold(a, 0, x, a + x) > 0", json!({})),
        ("lists.range(100000).fold(a, [], x, a + [x]) == []", json!({})),
        ("lists.range(100000).fold(a, '', x, a + 'xxxxxxxxxx') == ''", json!({})),
        ("lists.range(100000).fold(a, [], x, [a])", json!({})),
        ("lists.range(100000).fold(a, [], x, [a, a]) == []", json!({})),
        ("[lists.range(200).fold(a, [], x, [a, a])].all(v, v == v)", json!({})),
        ("json.encode(lists.range(60).fold(a, [], x, [a, a])) == ''", json!({})),
        ("lists.range(60).fold(a, [], x, [a, a])", json!({})),
        ("size([lists.range(200).fold(a, [], x, [a, a])].distinct()) > 0", json!({})),
        ("size(lists.range(200).fold(a, [], x, [a, a]).flatten(300)) > 0", json!({})),
        ("lists.range(100000).fold(a, {}, x, a.merge({string(x): x})) == {}", json!({})),
        ("lists.range(100000).fold(a, optional.none(), x, optional.of(a)).hasValue()", json!({})),
        ("input.l.fold(a, 0, x, input.l.fold(b, a, y, b + 1)) > 0", json!({"l": l})),
        ("input.l.all(x, input.o.sortBy(s, s) != [])", json!({"l": l, "o": scattered(50_000)})),
        ("input.l.all(x, input.o.sortBy(s, s) != [])", json!({"l": l, "o": alike})),
        ("input.l.all(x, input.o.groupBy(s, s) != {})", json!({"l": l, "o": alike})),
        ("input.l.all(x, input.o.groupBy(s, 'x') != {})", json!({"l": l, "o": numbers(50_000)})),
        ("input.o.groupBy(s, string(s)) == {}", json!({"o": numbers(100_000)})),
        ("input.o.groupBy(s, input.s).size() > 5", json!({"o": numbers(10_000), "s": long})),
        ("input.o.sortBy(s, input.s).size() == 5", json!({"o": numbers(10_000), "s": long})),
        ("input.l.all(x, input.o.minBy(s, s) != input.o.maxBy(s, s))", json!({"l": l, "o": alike})),
        ("input.l.all(x, (input.o + ['x']).groupBy(s, s) == {} || true)", json!({"l": l, "o": numbers(1000)})),
        ("input.l.all(x, input.o.sum(s, s) > 0)", json!({"l": l, "o": numbers(50_000)})),
    ]
}
