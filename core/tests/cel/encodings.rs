//! Facts of the functions that write values as texts, and read them back.

use serde_json::{Value, json};

use super::evaluate;

fn input() -> Value {
    json!({"t": "a\"ü\n", "doc": "{\"b\": [1, 2.50, null], \"a\": {\"x\": \"y\"}}", "none": null, "l": [1, "a"]})
}

/// Each of these is true.
const TRUE: &[&str] = &[
    // JSON.
    r#"json.encode({'b': [1, 2.5, null, true], 'a': 'x'}) == '{"a":"x","b":[1,2.5,null,true]}'"#,
    r#"json.encode('') == '""' && json.encode(null) == 'null' && json.encode([]) == '[]' && json.encode(1u) == '1' && json.encode(1.0) == '1.0'"#,
    r#"json.encode(input.t) == '"a\\"ü\\n"' && json.encode({1: 'x', 10: 'y', 9: 'z'}) == '{"1":"x","10":"y","9":"z"}'"#,
    "json.encode(optional.of(1)) == '1' && json.encode(optional.none()) == 'null' && json.encode(18446744073709551615u) == '18446744073709551615'",
    r#"json.decode(input.doc) == {'a': {'x': 'y'}, 'b': [1, 2.5, null]} && json.decode(input.doc).b[1] == 2.5"#,
    r#"json.decode(' [1] ') == [1] && json.decode('"\\u00e4\\n"') == 'ä\n' && json.decode('null') == null && json.decode('-0') == 0"#,
    r#"json.decode('{"a":"' + 'x' + '"}') == {'a': 'x'} && json.decode('["' + 'a","' + '\\u0062"]') == ['a', 'b']"#,
    "type(json.decode('1')) == int && type(json.decode('1.0')) == double && type(json.decode('18446744073709551615')) == uint",
    "json.decode(json.encode(input)) == input && json.encode(json.decode('[1,  2]')) == '[1,2]' && [1].map(json, json + 1) == [2]",
    // Base 64 (RFC 4648, section 10).
    "['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map(t, base64.encode(t)) == ['', 'Zg==', 'Zm8=', 'Zm9v', 'Zm9vYg==', 'Zm9vYmE=', 'Zm9vYmFy']",
    "['', 'Zg==', 'Zm8=', 'Zm9v', 'Zm9vYg==', 'Zg', 'Zm8', 'Zm9vYg'].map(t, string(base64.decode(t))) == ['', 'f', 'fo', 'foo', 'foob', 'f', 'fo', 'foob']",
    r"base64.encode(b'\xfb\xff\xfe') == '+//+' && base64.decode('+//+') == b'\xfb\xff\xfe' && base64.encode('ü😀') == 'w7zwn5iA'",
    r"base64.decode(base64.encode(b'\x00\x01\xff')) == b'\x00\x01\xff' && type(base64.decode('Zg')) == bytes",
    // Hashes (FIPS 180-4).
    "hash.sha256('abc') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' && hash.sha256(b'abc') == hash.sha256('abc')",
    "hash.sha256('') == 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' && size(hash.sha256('ü')) == 64",
    // Addresses (RFC 3986).
    "url.encode('a b&c=ü/😀') == 'a%20b%26c%3D%C3%BC%2F%F0%9F%98%80' && url.encode('') == '' && url.encode('AZaz09-._~') == 'AZaz09-._~'",
    "url.encode('%+?#') == '%25%2B%3F%23' && url.encode('%20') == '%2520'",
    // Format.
    "'%s is %d'.format(['x', 3]) == 'x is 3' && ''.format([]) == '' && 'ü'.format([]) == 'ü' && '100%%'.format([]) == '100%' && '%%s'.format([]) == '%s'",
    r#"'%s|%s|%s|%s|%s'.format([null, true, [1, 'a'], {'k': 1.0}, 'ü']) == 'null|true|[1,"a"]|{"k":1.0}|ü'"#,
    "'%s%s'.format([1, 2.5]) == '12.5' && '%s'.format([1.0]) == '1.0' && '%s'.format(['%s']) == '%s' && '%s'.format([input.none]) == 'null'",
    "'%d %d %d'.format([-9223372036854775808, 18446744073709551615u, 0]) == '-9223372036854775808 18446744073709551615 0'",
    "'%f %.2f %.0f %.20f'.format([1.5, 2.345, 2.5, 0.1]) == '1.500000 2.35 2 0.10000000000000000555'",
    "'%.1f %.0f %f'.format([3, 3u, 9007199254740993]) == '3.0 3 9007199254740993.000000' && '%.2f'.format([-0.001]) == '-0.00'",
    "'%f %f %f'.format([1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0]) == 'Infinity -Infinity NaN' && size('%f'.format([1e308])) == 316",
    "'%.02f'.format([1.0]) == '1.00' && 'a%sb%sc'.format(['', 'x']) == 'abxc'",
];

/// Each of these has no value, and says why.
const FAULTS: &[(&str, &str)] = &[
    ("json.encode(b'a')", "`json.encode`: the result is of the type bytes, which JSON cannot hold"),
    ("json.encode([int])", "`json.encode`: the result is of the type type, which JSON cannot hold"),
    ("json.encode(0.0 / 0.0)", "`json.encode`: the result is NaN, which JSON has no number for"),
    ("json.encode({1: 1, '1': 2})", "`json.encode`: the result has two keys that are \"1\" in JSON"),
    (r"json.encode('\x00')", "`json.encode`: the result holds the character U+0000, which the database cannot store"),
    ("json.decode('')", "`json.decode`: not valid JSON"),
    ("json.decode('[1,]')", "`json.decode`: not valid JSON"),
    ("json.decode('[1] 2')", "`json.decode`: not valid JSON"),
    ("json.decode('01')", "`json.decode`: not valid JSON"),
    ("json.decode('NaN')", "`json.decode`: not valid JSON"),
    (r#"json.decode('{"a": 1, "a": 2}')"#, "`json.decode`: the key \"a\" stands twice in one object"),
    (r#"json.decode('"\\ud83d"')"#, "`json.decode`: a string contains half of a surrogate pair"),
    (r#"json.decode('"\\u0000"')"#, "`json.decode`: a string contains the character U+0000"),
    ("json.decode('[1e400]')", "`json.decode`: the number 1e400 is outside the range of a double (at /0)"),
    ("json.decode('18446744073709551616')", "`json.decode`: the whole number 18446744073709551616 is outside"),
    ("json.decode(lists.range(65).map(x, '[').join())", "`json.decode`: nested deeper than 64 levels"),
    ("json.decode(b'1')", "`json.decode` cannot take (bytes)"),
    ("json.decode(1)", "`json.decode` cannot take (int)"),
    ("json.parse('1')", "parse: there is no function `json.parse`"),
    ("base64.decode('Z')", "`base64.decode`: the text is not base64: bits are left over at its end"),
    ("base64.decode('Zh==')", "`base64.decode`: the text is not base64: bits are left over at its end"),
    ("base64.decode('Zg=')", "`base64.decode`: the text is not base64: see its byte 2"),
    ("base64.decode('Z===')", "`base64.decode`: the text is not base64: see its byte 1"),
    ("base64.decode('Zg==Zg==')", "`base64.decode`: the text is not base64: see its byte 2"),
    ("base64.decode('_-8=')", "`base64.decode`: the text is not base64: see its byte 0"),
    ("base64.decode('Zm9\\n')", "`base64.decode`: the text is not base64: see its byte 3"),
    ("base64.decode('Züg')", "`base64.decode`: the text is not base64: see its byte 1"),
    ("base64.decode(b'Zg')", "`base64.decode` cannot take (bytes)"),
    ("base64.encode(1)", "`base64.encode` cannot take (int)"),
    ("hash.sha256(null)", "`hash.sha256` cannot take (null_type)"),
    ("url.encode(b'a')", "`url.encode` cannot take (bytes)"),
    ("'%s'.format([])", "`format`: there are fewer values than verbs"),
    ("'a'.format([1, 2])", "`format`: there are 2 values more than verbs"),
    ("'%x'.format([1])", "`format`: `%x` does not begin with one of %s, %d, %f, %.2f and %%"),
    ("'%'.format([1])", "`format`: `%` does not begin"),
    ("'%.f'.format([1.0])", "`format`: `%.f` does not begin"),
    ("'%.2d'.format([1])", "`format`: `%.2d` does not begin"),
    ("'% d'.format([1])", "`format`: `% d` does not begin"),
    ("'%ü'.format([1])", "`format`: `%ü` does not begin"),
    ("'%.21f'.format([1.0])", "`format`: more than 20 digits after the point"),
    ("'%.99999999999999999999f'.format([1.0])", "`format`: more than 20 digits after the point"),
    ("'%d'.format(['1'])", "`format`: `%d` takes a whole number, not string"),
    ("'%d'.format([1.0])", "`format`: `%d` takes a whole number, not double"),
    ("'%f'.format([null])", "`format`: `%f` takes a number, not null_type"),
    ("'%s'.format([b'a'])", "`format`: the result is of the type bytes, which JSON cannot hold"),
    ("'%s'.format(1)", "`format` cannot take (string, int)"),
    ("[1].format([1])", "`format` cannot take (list, list)"),
];

#[test]
fn what_encodings_give() {
    for source in TRUE {
        assert_eq!(evaluate(source, &input()), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_encodings_refuse() {
    for (source, reason) in FAULTS {
        let found = evaluate(source, &input()).expect_err(source);
        assert!(found.starts_with(reason), "{source}: {found}");
    }
}
