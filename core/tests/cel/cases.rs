//! Facts of CEL, one by one: what the specification says of types, operators, macros and functions.

use serde_json::{Value, json};

use super::evaluate;

fn input() -> Value {
    json!({"n": 3, "f": 2.5, "s": "abc", "l": [1, 2, 3], "m": {"a": 1, "b": {"c": null}}, "none": null, "yes": true})
}

/// Each of these is true.
const TRUE: &[&str] = &[
    // Numbers are equal, and ordered, across kinds; nothing else is.
    "1 == 1u && 1 == 1.0 && 1u == 1.0 && 1 != 1.5",
    "1 < 2u && 2u > 1 && 1 < 1.5 && 1.5 > 1u && -1 < 0u && 18446744073709551615u > 9223372036854775807",
    "9007199254740993 != 9007199254740992.0 && 9007199254740993 > 9007199254740992.0",
    "9223372036854775807 < 9223372036854775808.0 && -9223372036854775808 == -9223372036854775808.0",
    "1 != '1' && true != 1 && null != false && [] != {} && '' != b''",
    "0.0 == -0.0 && !(0.0 / 0.0 == 0.0 / 0.0) && 0.0 / 0.0 != 0.0 / 0.0",
    "[1, 2u, 3.0] == [1.0, 2, 3u] && [1] != [1, 1] && [[1]] == [[1u]]",
    "{'a': 1, 'b': 2} == {'b': 2.0, 'a': 1u} && {1: 'x'} == {1u: 'x'} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
    "null == null && input.none == null && [null] == [null]",
    // Order of texts, bytes and truths.
    "'a' < 'b' && 'a' < 'aa' && 'B' < 'a' && '' < 'a' && 'ä' > 'z'",
    "b'a' < b'b' && b'' < b'a' && false < true && !(true < true) && true <= true",
    // Whole numbers are divided towards zero; the rest has the sign of the first.
    "7 / 2 == 3 && -7 / 2 == -3 && 7 % -2 == 1 && -7 % 2 == -1 && 7u / 2u == 3u && 7u % 4u == 3u",
    "1.0 / 0.0 > 1e308 && -1.0 / 0.0 < -1e308 && 2.5 * 2.0 == 5.0 && 1.5 - 0.5 == 1.0",
    "-(-3) == 3 && -2.5 == 0.0 - 2.5 && 0x10 == 16 && -0x10 == -16 && 0x10u == 16u && 1e3 == 1000.0",
    "1 + 2 * 3 - 4 / 2 == 5 && (1 + 2) * 3 == 9 && 2 - 3 - 4 == -5",
    // Texts.
    r"'a' + 'b' == 'ab' && b'a' + b'b' == b'ab' && '\u00e4' == 'ä' && '\U0001F600' == '😀' && '\x41' == 'A' && '\101' == 'A'",
    r#"r'\n' == '\\n' && """a"b""" == 'a"b' && '\n\t\\' != r'\n\t\\'"#,
    "size('') == 0 && size('größe') == 5 && size(b'größe') == 7 && '😀'.size() == 1",
    "'abc'.contains('') && 'abc'.contains('bc') && !'abc'.contains('ac')",
    "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.startsWith('') && !''.startsWith('a')",
    "'abc'.matches('b') && !'abc'.matches('^b$') && matches('abc', '^a.c$') && ''.matches('')",
    // Lists.
    "[1] + [2, 3] == [1, 2, 3] && [] + [] == [] && size([1, [2, 3]]) == 2",
    "[1, 2][0] == 1 && [1, 2][1u] == 2 && [1, 2][1.0] == 2 && input.l[input.n - 1] == 3",
    "2 in [1, 2] && 2u in [1, 2] && 2.0 in [1, 2] && !('2' in [1, 2]) && !(1 in []) && [1] in [[1]]",
    // Maps.
    "size({'a': 1}) == 1 && {'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {1: 2}[1u] == 2 && {1u: 2}[1.0] == 2",
    "'a' in {'a': null} && !('b' in {'a': 1}) && 1.0 in {1: 1} && !(1.5 in {1: 1}) && true in {true: 1}",
    "has({'a': null}.a) && !has({'a': 1}.b) && has(input.m.b.c) && !has(input.m.b.d)",
    // A side that decides hides what the other is.
    "true || 1 / 0 > 0",
    "1 / 0 > 0 || true",
    "!(false && 1 / 0 > 0)",
    "!(1 / 0 > 0 && false)",
    "(1 || true) && !('x' && false)",
    "true ? true : 1 / 0 > 0",
    "false ? 1 / 0 > 0 : true",
    // Macros.
    "[].all(x, false) && ![].exists(x, true) && ![].exists_one(x, true)",
    "[1, 2].all(x, x > 0) && ![1, 2].all(x, x > 1) && [1, 2].exists(x, x > 1) && ![1, 2].exists(x, x > 2)",
    "[1, 2, 2].exists_one(x, x == 1) && ![1, 2, 2].exists_one(x, x == 2) && ![1].exists_one(x, x == 2)",
    "![1, 0, 2].all(x, 2 / x > 1) && [0, 1].exists(x, 1 / x == 1)",
    "[1, 2].map(x, x * 2) == [2, 4] && [1, 2].map(x, x > 1, x * 2) == [4] && [1, 2].filter(x, x > 1) == [2]",
    "{'b': 1, 'a': 2}.map(k, k) == ['a', 'b'] && {'a': 1}.all(k, k == 'a') && {2: 'x'}.exists(k, k == 2)",
    "[1, 2].map(x, [3, 4].map(y, x * y)) == [[3, 4], [6, 8]] && [1].map(x, [x].map(x, x + 1)) == [[2]]",
    "[[1, 2], [3]].exists(l, l.exists(x, x == 3)) && [1, 2].filter(n, n in input.l) == [1, 2]",
    // Types.
    "type(1) == int && type(1u) == uint && type(1.0) == double && type('') == string && type(b'') == bytes",
    "type([]) == list && type({}) == map && type(null) == null_type && type(true) == bool && type(int) == type",
    "type(type(1)) == type && type(1) != type(1u) && type(input.f) == double && type(input.n) == int",
    // Conversions.
    "int(1u) == 1 && int(1.9) == 1 && int(-1.9) == -1 && int('-5') == -5 && int(3) == 3",
    "uint(1) == 1u && uint(1.9) == 1u && uint('5') == 5u && double(1) == 1.0 && double('1.5') == 1.5 && double(1u) == 1.0",
    "string(1) == '1' && string(-1) == '-1' && string(1u) == '1' && string(1.5) == '1.5' && string(true) == 'true'",
    "string(b'abc') == 'abc' && bytes('ä') == b'ä' && string('x') == 'x' && bool('true') && !bool('false') && dyn(1) == 1",
    // Optionals.
    "optional.of(1).value() == 1 && optional.of(1).hasValue() && !optional.none().hasValue()",
    "optional.none().orValue(2) == 2 && optional.of(1).orValue(2) == 1 && optional.none().or(optional.of(3)).value() == 3",
    "input.?s.orValue('') == 'abc' && !input.?x.hasValue() && !input.?x.y.z.hasValue() && input.m.?b.c == optional.of(null)",
    "[1, 2][?0].value() == 1 && ![1][?5].hasValue() && {'a': 1}[?'a'].value() == 1 && ![1][?-1].hasValue()",
    "[?optional.none(), 1, ?optional.of(2)] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}",
    "!optional.ofNonZeroValue(0).hasValue() && !optional.ofNonZeroValue('').hasValue() && optional.ofNonZeroValue(1).hasValue()",
    "optional.of(2).optMap(x, x * 2).value() == 4 && !optional.none().optMap(x, x).hasValue()",
    "optional.of(2).optFlatMap(x, optional.of(x + 1)).value() == 3 && optional.none() == optional.none()",
    // Functions of texts.
    "'abc'.charAt(1) == 'b' && 'abc'.charAt(3) == '' && 'äbc'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3",
    "'abcb'.indexOf('b', 2) == 3 && 'abc'.indexOf('x') == -1 && 'aaaa'.lastIndexOf('aa', 1) == 1 && 'äöü'.lastIndexOf('ü') == 2",
    "'größe'.substring(1) == 'röße' && 'größe'.substring(1, 3) == 'rö' && 'abc'.substring(3) == ''",
    "'a-b-c'.split('-') == ['a', 'b', 'c'] && 'abc'.split('') == ['a', 'b', 'c'] && 'a-b-c'.split('-', 2) == ['a', 'b-c']",
    "''.split(',') == [''] && 'a'.split('', 0) == [] && ','.split(',') == ['', ''] && 'aXbX'.replace('X', '-') == 'a-b-'",
    "['a', 'b'].join('-') == 'a-b' && [].join() == '' && 'ab'.replace('', '.') == '.a.b.' && 'aaa'.replace('a', 'b', 2) == 'bba'",
    "' a '.trim() == 'a' && 'Äb'.upperAscii() == 'ÄB' && 'ÄB'.lowerAscii() == 'Äb' && 'abc'.reverse() == 'cba'",
    // Functions of numbers.
    "math.greatest(1, 2.5, 2u) == 2.5 && math.least([3, 1, 2]) == 1 && math.abs(-3) == 3 && math.sign(-2.5) == -1.0",
    "math.ceil(1.2) == 2.0 && math.floor(-1.2) == -2.0 && math.round(-1.5) == -2.0 && math.trunc(-1.7) == -1.0",
    "math.bitAnd(6, 3) == 2 && math.bitOr(6u, 1u) == 7u && math.bitXor(6, 3) == 5 && math.bitNot(0) == -1",
    "math.bitShiftLeft(1, 3) == 8 && math.bitShiftRight(-8, 60) == 15 && math.bitShiftLeft(1, 64) == 0",
    "math.isNaN(0.0 / 0.0) && math.isInf(1.0 / 0.0) && math.isFinite(1.0) && math.sqrt(16) == 4.0",
];

/// Each of these has no value, and says why.
const FAULTS: &[(&str, &str)] = &[
    ("1 + 1u", "`+` takes two numbers of the same kind, not int and uint: write int(…)"),
    ("input.n / 2.0", "`/` takes two numbers of the same kind, not int and double: write double(…)"),
    ("2.5 % 1.0", "`%` takes two whole numbers, not double and double"),
    ("input.s + 1", "`+` cannot take (string, int)"),
    ("[1] + 1", "`+` cannot take (list, int)"),
    ("[1] + {}", "`+` cannot take (list, map)"),
    ("([1] + {}).?k", "`+` cannot take (list, map)"),
    ("{'a': 1} + {'b': 2}", "`+` cannot take (map, map)"),
    ("9223372036854775807 + 1", "`+` leaves the range of its numbers"),
    ("-9223372036854775808 - 1", "`-` leaves the range of its numbers"),
    ("-(-9223372036854775808)", "`-` leaves the range of its numbers"),
    ("-9223372036854775808 / -1", "`/` leaves the range of its numbers"),
    ("0u - 1u", "`-` leaves the range of its numbers"),
    ("1 / 0", "division by zero"),
    ("1u % 0u", "division by zero"),
    ("1 < 'a'", "`<` cannot take (int, string)"),
    ("null < null", "`<` cannot take (null_type, null_type)"),
    ("[1] < [2]", "`<` cannot take (list, list)"),
    ("1.0 < 0.0 / 0.0", "a double and a double have no order"),
    ("-true", "`-` cannot take (bool)"),
    ("-1u", "`-` cannot take (uint)"),
    ("!1", "`!` cannot take (int)"),
    ("1 && true", "`&&` needs true or false, not int"),
    ("false || 'x'", "`||` needs true or false, not string"),
    ("1 / 0 > 0 || false", "division by zero"),
    ("1 ? 2 : 3", "`?:` needs true or false, not int"),
    ("[1][1]", "there is no item 1"),
    ("[1][-1]", "there is no item -1"),
    ("[1]['a']", "`[]` cannot take (list, string)"),
    ("[1][0.5]", "`[]` cannot take (list, double)"),
    ("{'a': 1}.b", "there is no key `b`"),
    ("{'a': 1}[0]", "there is no key `0`"),
    ("{'a': 1}[[]]", "`[]` cannot take (map, list)"),
    ("'abc'[0]", "`[]` cannot take (string, int)"),
    ("[{'a': 1}].map(x, x.a.b)", "`.` cannot take (int, string)"),
    ("1 in 'abc'", "`in` cannot take (int, string)"),
    ("[] in {'a': 1}", "`in` cannot take (list, map)"),
    ("{'a': 1, 'a': 2}", "a map names a key twice"),
    ("{1: 1, 1u: 2}", "a map names a key twice"),
    ("{1.5: 1}", "a double cannot be a key"),
    ("1.map(x, x)", "found int where list or map is needed"),
    ("'abc'.all(x, true)", "found string where list or map is needed"),
    ("[1, 0].all(x, 1 / x > 0)", "division by zero"),
    ("[0].exists(x, 1 / x > 0)", "division by zero"),
    ("[1, 0].exists_one(x, 1 / x == 1)", "division by zero"),
    ("[1].filter(x, x)", "`filter` needs true or false, not int"),
    ("[1].all(x, 'a')", "`all` needs true or false, not string"),
    ("size(1)", "`size` cannot take (int)"),
    ("contains('abc', 'b')", "`contains` cannot take (string, string)"),
    ("'abc'.contains(1)", "`contains` cannot take (string, int)"),
    ("int('x')", "`int`: the text is not an int"),
    ("int(1e30)", "`int`: the number is outside the range of int"),
    ("uint(-1)", "`uint`: the number is outside the range of uint"),
    ("double('x')", "`double`: the text is not a double"),
    ("bool('yes')", "`bool`: the text is not true or false"),
    ("bool(1)", "`bool` cannot take (int)"),
    (r"string(b'\xff')", "`string`: the bytes are not UTF-8"),
    ("optional.none().value()", "`value`: the optional is empty"),
    ("1.orValue(2)", "`orValue` cannot take (int, int)"),
    ("'abc'.charAt(4)", "`charAt`: the text has no place 4"),
    ("'abc'.substring(2, 1)", "`substring`: it would start at 2 and end at 1"),
    ("[1].join()", "`join`: takes a list of texts"),
    ("'a'.matches('(')", "`matches`: not a regular expression"),
    ("math.abs(-9223372036854775808)", "`math.abs`: the number is outside the range of int"),
    ("math.bitShiftLeft(1, -1)", "`math.bitShiftLeft`: cannot shift by -1"),
    ("math.ceil(1)", "`math.ceil` cannot take (int)"),
];

#[test]
fn what_cel_says_is_true_is_true() {
    for source in TRUE {
        assert_eq!(evaluate(source, &input()), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    for (source, reason) in FAULTS {
        let found = evaluate(source, &input()).expect_err(source);
        assert!(found.contains(reason), "{source}: {found}");
    }
}

/// A chain of steps is no deeper than one: neither evaluating nor dropping it overflows a thread's stack.
#[test]
fn long_chains_do_not_overflow_the_stack() {
    let chains = [
        format!("[1].map(x, x{})", ".a".repeat(1900)),
        format!("[1].map(x, x{})", "[x]".repeat(30)),
        format!("size(input){}", ".a".repeat(1900)),
        format!("{{}}{}", ".a".repeat(1900)),
        format!("input.?a{}", ".a".repeat(1900)),
        format!("input{}[input.n]", ".a".repeat(1900)),
        format!("has([1].map(x, x{}))", ".a".repeat(1000)),
        format!("[{}]", "[],".repeat(1300)),
        format!("[1].all(x, {}true)", "x > 0 && ".repeat(400)),
        format!("1{}", "\n".repeat(4000)),
    ];
    for source in chains {
        let run = move || drop(evaluate(&source, &input()));
        std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    }
}
