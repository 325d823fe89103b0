//! Facts of the functions of lists, maps and encodings: what each gives, what it gives beside that, what it refuses.

use serde_json::{Value, json};

use super::evaluate;

fn input() -> Value {
    json!({"l": [3, 1, 2], "m": {"b": 1, "a": {"x": 2}}, "words": ["ä", "z", "B", "a"], "none": null})
}

/// Each of these is true.
const TRUE: &[&str] = &[
    "lists.range(0) == [] && lists.range(3) == [0, 1, 2] && size(lists.range(100000)) == 100000",
    "lists.range(4).map(i, i * i).sum() == 14 && [5].map(lists, lists + 1) == [6]",
    // Sorted as the operators compare: exactly, across kinds, what is equal as it stood.
    "input.l.sort() == [1, 2, 3] && [].sort() == [] && [1].sort() == [1] && input.words.sort() == ['B', 'a', 'z', 'ä']",
    "[2u, 1.5, -1, 1].sort() == [-1, 1, 1.5, 2u] && ['b', '', 'a', 'aa'].sort() == ['', 'a', 'aa', 'b']",
    "[9007199254740993, 9007199254740992.0].sort()[0] == 9007199254740992.0",
    "[18446744073709551615u, -9223372036854775808, 1.0 / 0.0, -1.0 / 0.0].sort()[1] == -9223372036854775808",
    "type([1.0, 1, 1u].sort()[0]) == double && type([1u, 1.0, 1].sort()[2]) == int",
    // Distinct as `==` finds.
    "[1, 1u, 1.0, 2, '1', 1.5, 1.5].distinct() == [1, 2, '1', 1.5] && [].distinct() == []",
    "type([1u, 1].distinct()[0]) == uint && [0.0, -0.0].distinct() == [0.0] && size([0.0 / 0.0, 0.0 / 0.0].distinct()) == 2",
    "size([[0.0 / 0.0], [0.0 / 0.0]].distinct()) == 2 && size([{'a': 0.0 / 0.0}, {'a': 0.0 / 0.0}].distinct()) == 2",
    "['b', 'a', 'b'].distinct() == ['b', 'a'] && ['a', b'a'].distinct() == ['a', b'a'] && [null, false, 0, '', [], {}].distinct() == [null, false, 0, '', [], {}]",
    "[[1, 2], [1u, 2.0], [12], [[1], 2], [[1, 2]]].distinct() == [[1, 2], [12], [[1], 2], [[1, 2]]]",
    "[['ab', 'c'], ['a', 'bc'], ['ab', 'c']].distinct() == [['ab', 'c'], ['a', 'bc']]",
    "[{'a': 1, 'b': 2}, {'b': 2u, 'a': 1.0}, {'a': 1}, {1: 'x'}, {1u: 'x'}].distinct() == [{'a': 1, 'b': 2}, {'a': 1}, {1: 'x'}]",
    "[9007199254740993, 9007199254740992.0, 1e19, 10000000000000000000u, 5e19, 5e19, -1e19].distinct() == [9007199254740993, 9007199254740992.0, 1e19, 5e19, -1e19]",
    "size([int, uint, int].distinct()) == 2 && size([optional.none(), optional.of(1), optional.of(1u), null].distinct()) == 3",
    // Flat, one level or more.
    "[[1, 2], [], [3, [4]], 5, 'x'].flatten() == [1, 2, 3, [4], 5, 'x'] && [].flatten() == [] && [[], []].flatten() == []",
    "[1, [2, [3, [4]]]].flatten(2) == [1, 2, 3, [4]] && [[[[1]]]].flatten(99) == [1] && [[1]].flatten(0) == [[1]]",
    "[{'a': [1]}, [{'b': 2}]].flatten() == [{'a': [1]}, {'b': 2}]",
    "[1, 2, 3].slice(1, 3) == [2, 3] && [1, 2, 3].slice(0, 0) == [] && [1].slice(1, 1) == [] && [].slice(0, 0) == []",
    "[1, 2, 3].sum() == 6 && [].sum() == 0 && [1.5, 2.5].sum() == 4.0 && [1u, 2u].sum() == 3u && type([1u].sum()) == uint",
    "[3, 1, 2].min() == 1 && [3, 1, 2].max() == 3 && [1, 2.5, 2u].max() == 2.5 && ['b', 'a'].min() == 'a' && ['b', 'ä'].max() == 'ä'",
    "type([1.0, 1].min()) == double && type([1, 1.0].max()) == int && [5].min() == 5",
    "[1, 'a', [2]].reverse() == [[2], 'a', 1] && [].reverse() == [] && 'ab'.reverse() == 'ba'",
    // Maps.
    "{'a': 1, 'b': 2}.merge({'b': 3, 'c': 4}) == {'a': 1, 'b': 3, 'c': 4} && {}.merge({}) == {} && {}.merge({'a': 1}) == {'a': 1}",
    "{'a': {'x': 1}}.merge({'a': {'y': 2}}) == {'a': {'y': 2}} && {1: 'a'}.merge({1u: 'b'}) == {1: 'b'} && {'a': 1}.merge({}) == {'a': 1}",
    "{'m': 1, 'z': 1}.merge({'a': 2, 'n': 2, 'zz': 2}).keys() == ['a', 'm', 'n', 'z', 'zz'] && {1: 1}.merge({'1': 2, true: 3}).size() == 3",
    "{'b': 1, 'a': 2}.keys() == ['a', 'b'] && {'b': 1, 'a': 2}.values() == [2, 1] && {}.keys() == [] && {}.values() == []",
    "{10: 'x', 9: 'y'}.keys() == [9, 10] && input.m.keys() == ['a', 'b'] && input.m.values() == [{'x': 2}, 1]",
    "input.m.merge({'c': 1}).keys().map(k, k + '!').join() == 'a!b!c!'",
];

/// Each of these has no value, and says why.
const FAULTS: &[(&str, &str)] = &[
    ("lists.range(-1)", "`lists.range`: -1 is negative"),
    ("lists.range(100001)", "`lists.range`: more than 100000 items"),
    ("lists.range(9223372036854775807)", "`lists.range`: more than 100000 items"),
    ("lists.range(1.0)", "`lists.range` cannot take (double)"),
    ("[1].range(1)", "parse: there is no function `range`"),
    ("[1, 'a'].sort()", "`sort`: takes numbers, texts, timestamps or durations, of one of these alone"),
    ("[1, null].sort()", "`sort`: takes numbers, texts, timestamps or durations, not null_type"),
    ("[[1]].sort()", "`sort`: takes numbers, texts, timestamps or durations, not list"),
    ("[1.0, 0.0 / 0.0].sort()", "`sort`: NaN has no order"),
    ("'abc'.sort()", "`sort` cannot take (string)"),
    ("{'a': 1}.distinct()", "`distinct` cannot take (map)"),
    ("[1].flatten(-1)", "`flatten`: the depth -1 is negative"),
    ("[1].flatten('a')", "`flatten` cannot take (list, string)"),
    ("[1, 2].slice(1, 3)", "`slice`: 1 to 3 is not a part of a list of 2 items"),
    ("[1, 2].slice(-1, 1)", "`slice`: -1 to 1 is not a part of a list of 2 items"),
    ("[1, 2].slice(2, 1)", "`slice`: 2 to 1 is not a part of a list of 2 items"),
    ("[1, 2].slice(0, 9223372036854775807)", "`slice`: 0 to 9223372036854775807 is not a part of a list of 2 items"),
    ("'abc'.slice(0, 1)", "`slice` cannot take (string, int, int)"),
    ("[9223372036854775807, 1].sum()", "`+` leaves the range of its numbers"),
    ("[18446744073709551615u, 1u].sum()", "`+` leaves the range of its numbers"),
    ("[1, 1.5].sum()", "`+` takes two numbers of the same kind, not int and double: write double(…)"),
    ("['a'].sum()", "`sum`: takes numbers or durations, not string"),
    ("[].min()", "`min`: the list is empty"),
    ("[].max()", "`max`: the list is empty"),
    ("[0.0 / 0.0].max()", "`max`: NaN has no order"),
    ("[1, 'a'].min()", "`min`: takes numbers, texts, timestamps or durations, of one of these alone"),
    ("[true].min()", "`min`: takes numbers, texts, timestamps or durations, not bool"),
    ("{'a': 1}.reverse()", "`reverse` cannot take (map)"),
    ("{'a': 1}.merge([1])", "`merge` cannot take (map, list)"),
    ("{'a': 1}.merge(null)", "`merge` cannot take (map, null_type)"),
    ("[1].keys()", "`keys` cannot take (list)"),
    ("[1].values()", "`values` cannot take (list)"),
];

#[test]
fn what_functions_of_data_give() {
    for source in TRUE {
        assert_eq!(evaluate(source, &input()), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_functions_of_data_refuse() {
    for (source, reason) in FAULTS {
        assert_eq!(evaluate(source, &input()), Err((*reason).to_owned()), "{source}");
    }
}
