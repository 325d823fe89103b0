//! Facts of the macros that make one value of a list: `fold`, `groupBy`, `sortBy`, `minBy`, `maxBy`, `sum`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate;

fn input() -> Value {
    json!({"rows": [{"k": "b", "n": 2}, {"k": "a", "n": 3}, {"k": "b", "n": 1}], "m": {"y": 1, "x": 2}, "l": [3, 1, 2]})
}

/// Each of these is true.
const TRUE: &[&str] = &[
    "[1, 2, 3].fold(acc, 0, x, acc + x) == 6 && [].fold(acc, 'none', x, acc + x) == 'none'",
    "['a', 'b'].fold(acc, '', x, acc + x + ';') == 'a;b;' && input.l.fold(a, [], x, [x] + a) == [2, 1, 3]",
    "input.rows.fold(acc, {}, row, acc.merge({row.k: row.n})) == {'a': 3, 'b': 1}",
    "input.m.fold(acc, 0, k, acc + input.m[k]) == 3 && input.m.fold(acc, '', k, acc + k) == 'xy'",
    // Variables may be called as anything else is, and stand in one another.
    "[1].map(x, [2, 3].fold(acc, x, y, acc + y * x)) == [6] && [1, 2].fold(input, 0, now, input + now) == 3",
    "[[1, 2], [3]].fold(acc, 0, row, acc + row.fold(acc, 0, x, acc + x)) == 6",
    "[1, 2].fold(acc, input.l.fold(acc, 0, x, acc + x), x, acc + x) == 9",
    "[1, 2].map(fold, fold + 1) == [2, 3] && [{'fold': 1}].map(x, x.fold) == [1]",
    // In the order of their keys, what is equal as it stood.
    "input.rows.sortBy(r, r.n).map(r, r.n) == [1, 2, 3] && input.rows.sortBy(r, r.k).map(r, r.n) == [3, 2, 1]",
    "[].sortBy(x, x) == [] && input.m.sortBy(k, input.m[k]) == ['y', 'x'] && [3, 1u, 2.0].sortBy(x, -int(x)) == [3, 2.0, 1u]",
    "input.rows.groupBy(r, r.k).map(k, k + string(size(input.rows.groupBy(r, r.k)[k]))) == ['a1', 'b2']",
    "input.rows.groupBy(r, r.k).b.map(r, r.n) == [2, 1] && [].groupBy(x, x) == {} && [1].groupBy(x, '') == {'': [1]}",
    "input.rows.minBy(r, r.n).n == 1 && input.rows.maxBy(r, r.n).k == 'a' && [1, 1.0].maxBy(x, x) == 1",
    "type([1.0, 1].minBy(x, x)) == double && ['bb', 'a'].minBy(s, size(s)) == 'a'",
    "input.rows.sum(r, r.n) == 6 && [].sum(x, x) == 0 && [1, 2].sum() == 3 && [1, 2].sum(x, double(x) * 0.5) == 1.5",
    "[now, now - duration('1h')].minBy(t, t) < now && [1, 2].sum(x, duration('1s')) == duration('2s')",
];

/// Each of these has no value, and says why.
const FAULTS: &[(&str, &str)] = &[
    ("5.fold(acc, 0, x, x)", "found int where list or map is needed"),
    ("[1, 'a'].fold(acc, 0, x, acc + x)", "`+` cannot take (int, string)"),
    ("[1].fold(acc, 0, x)", "parse: `fold` is written `list.fold(acc, initial, item, expression)`"),
    (
        "[1].fold(x, 0, x, x)",
        "parse: `fold` takes the names of two variables: `list.fold(acc, initial, item, expression)`",
    ),
    (
        "[1].fold(1, 0, x, x)",
        "parse: `fold` takes the names of two variables: `list.fold(acc, initial, item, expression)`",
    ),
    ("fold([1], acc, 0, x, x)", "parse: there is no function `fold`"),
    (
        "[1].fold(acc, acc, x, x)",
        "parse: there is no variable `acc` (there are input, state, nodes, assets, error, run, trigger, now)",
    ),
    ("[1].sortBy(x)", "parse: `sortBy` is written `list.sortBy(item, expression)`"),
    ("[1].sortBy('x', 1)", "parse: `sortBy` takes the name of a variable first: `list.sortBy(item, expression)`"),
    ("[1, 2].sortBy(x, [x])", "`sortBy`: takes numbers, texts, timestamps or durations, not list"),
    (
        "[1, 2].sortBy(x, x == 1 ? 1 : 'a')",
        "`sortBy`: takes numbers, texts, timestamps or durations, of one of these alone",
    ),
    ("[1].groupBy(x, x)", "`groupBy`: takes texts as keys, not int: write string(…)"),
    ("[].minBy(x, x)", "`minBy`: the list is empty"),
    ("[].maxBy(x, x)", "`maxBy`: the list is empty"),
    ("['a'].sum(x, x)", "`sum`: takes numbers or durations, not string"),
    ("[1].map(a, [1].map(b, [1].map(c, [1].fold(d, 0, e, e))))", "parse: loops stand deeper than 3 in one another"),
    ("lists.range(300).fold(acc, 1, x, [acc])", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, 1, x, {'a': acc})", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, optional.none(), x, optional.of(acc))", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, 1, x, [acc][?0])", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, [1], x, [1].map(y, acc))", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, {'a': 1}, x, [acc].groupBy(y, 'a'))", "a value is nested deeper than 256 levels"),
    ("lists.range(300).fold(acc, {}, x, acc.merge({'a': acc}))", "a value is nested deeper than 256 levels"),
    (
        "lists.range(300).fold(acc, [1], x, [acc].sortBy(y, 1).reverse().slice(0, 1))",
        "a value is nested deeper than 256 levels",
    ),
];

#[test]
fn what_reductions_give() {
    for source in TRUE {
        assert_eq!(evaluate(source, &input()), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_reductions_refuse() {
    for (source, reason) in FAULTS {
        assert_eq!(evaluate(source, &input()), Err((*reason).to_owned()), "{source}");
    }
}

proptest! {
    /// What is said in two ways is the same.
    #[test]
    fn reductions_agree_with_functions(numbers in proptest::collection::vec(-50_i64..50, 0..30)) {
        let input = json!({"l": numbers});
        let same = [
            "input.l.sortBy(x, x) == input.l.sort()",
            "input.l.sortBy(x, -x) == input.l.sort().reverse()",
            "input.l.fold(acc, 0, x, acc + x) == input.l.sum() && input.l.sum(x, x) == input.l.sum()",
            "input.l.fold(acc, [], x, acc + [x]) == input.l",
            "input.l == [] || input.l.minBy(x, x) == input.l.min() && input.l.maxBy(x, x) == input.l.max()",
            "input.l.groupBy(x, string(x)).values().flatten().sort() == input.l.sort()",
            "input.l.groupBy(x, string(x)).keys() == input.l.map(x, string(x)).distinct().sort()",
            "[input.l.groupBy(x, x < 0 ? 'a' : 'b')].all(g, g.?a.orValue([]) == input.l.filter(x, x < 0))",
        ];
        for source in same {
            prop_assert_eq!(evaluate(source, &input), Ok(json!(true)), "{}", source);
        }
    }
}

/// What goes through a value by recursion ends on the stack of an ordinary thread, however deep a `fold` makes it.
#[test]
fn the_deepest_value_overflows_no_stack() {
    let deepest = "[lists.range(250).fold(acc, [], x, x % 2 == 0 ? [acc] : optional.of({'a': acc}))]";
    let uses = [
        format!("{deepest}.map(v, v == v) == [true]"),
        format!("size({deepest}.map(v, [v, v]).flatten().distinct()) == 1"),
        format!("size({deepest}.flatten(1000)) == 1"),
        format!("{deepest}.map(v, json.encode(v)) == []"),
        format!("{deepest}.map(v, '%s'.format([v])) == []"),
        deepest.to_owned(),
    ];
    for source in uses {
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        let run = move || drop(evaluate(&source, &json!({})));
        thread.spawn(run).unwrap().join().expect("it ends");
    }
}
