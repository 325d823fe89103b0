//! Facts of times and durations: what CEL's specification says of them, zones, patterns, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate;

fn holds(cases: &[(&str, Value)]) {
    for (source, expected) in cases {
        assert_eq!(evaluate(source, &json!({})), Ok(expected.clone()), "{source}");
    }
}

fn refuses(cases: &[(&str, &str)]) {
    for (source, part) in cases {
        let reason = evaluate(source, &json!({})).expect_err(source);
        assert!(reason.contains(part), "{source}: {reason}");
    }
}

/// The cases of CEL's own conformance tests (`timestamps.textproto`), but for the range of durations, which is wider here,
/// and the names of types.
#[test]
fn times_are_what_the_specification_says() {
    let time = "timestamp('2009-02-13T23:31:30Z')";
    let parts = [
        ("getDate()", 13),
        ("getDayOfMonth()", 12),
        ("getDayOfWeek()", 5),
        ("getDayOfYear()", 43),
        ("getFullYear()", 2009),
        ("getHours()", 23),
        ("getMinutes()", 31),
        ("getMonth()", 1),
        ("getSeconds()", 30),
        ("getMilliseconds()", 0),
        ("getDate('Australia/Sydney')", 14),
        ("getDayOfMonth('US/Central')", 12),
        ("getDayOfMonth('+11:00')", 13),
        ("getDayOfWeek('UTC')", 5),
        ("getDayOfYear('US/Central')", 43),
        ("getFullYear('-09:30')", 2009),
        ("getHours('02:00')", 1),
        ("getMinutes('Asia/Kathmandu')", 16),
        ("getMonth('UTC')", 1),
        ("getSeconds('-00:00')", 30),
    ];
    for (part, expected) in parts {
        assert_eq!(evaluate(&format!("{time}.{part}"), &json!({})), Ok(json!(expected)), "{part}");
    }
    holds(&[
        ("int(timestamp('2009-02-13T23:31:30Z'))", json!(1_234_567_890)),
        ("string(timestamp('2009-02-13T23:31:30Z'))", json!("2009-02-13T23:31:30Z")),
        ("string(timestamp('9999-12-31T23:59:59.999999999Z'))", json!("9999-12-31T23:59:59.999999999Z")),
        ("string(duration('1000000s'))", json!("1000000s")),
        ("timestamp('2009-02-13T23:31:20.123456789Z').getMilliseconds()", json!(123)),
        ("timestamp('2009-02-13T02:00:00Z').getDayOfMonth('-02:30')", json!(11)),
        ("timestamp('2009-02-13T02:00:00Z').getDayOfMonth('America/St_Johns')", json!(11)),
        ("duration('123s') == duration('123s') && duration('60s') != duration('3600s')", json!(true)),
        ("timestamp('2009-02-13T23:00:00Z') + duration('240s') == timestamp('2009-02-13T23:04:00Z')", json!(true)),
        ("duration('120s') + timestamp('2009-02-13T23:01:00Z') == timestamp('2009-02-13T23:03:00Z')", json!(true)),
        ("duration('600s') + duration('50s') == duration('650s')", json!(true)),
        (
            "timestamp('0001-01-01T00:00:01.000000001Z') + duration('-999999999ns')",
            json!("0001-01-01T00:00:00.000000002Z"),
        ),
        ("timestamp('2009-02-13T23:10:00Z') - duration('600s')", json!("2009-02-13T23:00:00Z")),
        ("timestamp('2009-02-13T23:31:00Z') - timestamp('2009-02-13T23:29:00Z')", json!("120s")),
        ("duration('900s') - duration('42s')", json!("858s")),
        ("timestamp('2009-02-13T23:00:00Z') <= timestamp('2009-02-13T22:59:59Z')", json!(false)),
        ("duration('200s') < duration('300s')", json!(true)),
        ("duration('10000s').getHours()", json!(2)),
        ("duration('123.321456789s').getMilliseconds()", json!(321)),
        ("duration('3730s').getMinutes()", json!(62)),
        ("duration('3730s').getSeconds()", json!(3730)),
    ]);
    refuses(&[
        ("timestamp('0000-01-01T00:00:00Z')", "in the years 0001 to 9999"),
        ("timestamp('10000-01-01T00:00:00Z')", "in the years 0001 to 9999"),
        ("timestamp('0001-01-01T00:00:00Z') + duration('-1s')", "leaves the range"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "leaves the range"),
        ("timestamp('9999-12-31T23:59:59.999999999Z') + duration('1ns')", "leaves the range"),
        ("timestamp('0001-01-01T00:00:00Z') - duration('1ns')", "leaves the range"),
        ("duration('-320000000000s')", "at most 10,000 years"),
        ("duration('320000000000s')", "at most 10,000 years"),
        ("duration('-200000000000s') + duration('-200000000000s')", "leaves the range"),
        ("duration('200000000000s') - duration('-200000000000s')", "leaves the range"),
    ]);
}

#[test]
fn what_leaves_an_expression_is_a_text() {
    holds(&[
        ("now", json!("2025-11-26T12:00:00.5Z")),
        (
            "[now - duration('1h'), timestamp('2009-02-13T23:31:30+01:00')]",
            json!(["2025-11-26T11:00:00.5Z", "2009-02-13T22:31:30Z"]),
        ),
        ("{'d': duration('1h30m'), 'e': -duration('1.5s')}", json!({"d": "5400s", "e": "-1.5s"})),
        ("string(now) + '!'", json!("2025-11-26T12:00:00.5Z!")),
        ("json.encode([now, duration('1s')])", json!("[\"2025-11-26T12:00:00.5Z\",\"1s\"]")),
        ("'%s in %s'.format([now, duration('2m')])", json!("2025-11-26T12:00:00.5Z in 120s")),
        ("int(now)", json!(1_764_158_400)),
        ("int(timestamp('1969-12-31T23:59:59.5Z'))", json!(-1)),
        ("timestamp(1234567890)", json!("2009-02-13T23:31:30Z")),
        ("timestamp(now) == now && duration(duration('1s')) == duration('1s')", json!(true)),
        ("timestamp(string(now)) == now", json!(true)),
    ]);
}

#[test]
fn times_are_values_like_others() {
    holds(&[
        ("type(now) == timestamp && type(now - now) == duration && type(now) != string", json!(true)),
        ("now == string(now)", json!(false)),
        ("now in [1, now]", json!(true)),
        ("[now, now - duration('1s')].sort()[0] < now", json!(true)),
        ("[now, now + duration('1s'), now].distinct().size()", json!(2)),
        ("[duration('1m'), duration('2s')].max()", json!("60s")),
        ("[duration('1m'), duration('2s')].sum()", json!("62s")),
        ("[now - now, duration('0')].distinct()", json!(["0s"])),
        ("optional.ofNonZeroValue(now - now).hasValue()", json!(false)),
        ("optional.ofNonZeroValue(timestamp(0)).hasValue()", json!(true)),
        ("[1].map(now, now + 1)", json!([2])),
        ("[{'format': 1}].map(time, time.format)", json!([1])),
        ("json.decode('[1]').map(x, now - now)", json!(["0s"])),
    ]);
    refuses(&[
        ("now < '2026'", "`<` cannot take (timestamp, string)"),
        ("now + 1", "`+` cannot take (timestamp, int)"),
        ("now + now", "`+` cannot take (timestamp, timestamp)"),
        ("duration('1s') - now", "`-` cannot take (duration, timestamp)"),
        ("now * 2", "`*` cannot take"),
        ("-now", "`-` cannot take (timestamp)"),
        ("now.year", "cannot take (timestamp, string)"),
        ("size(now)", "cannot take (timestamp)"),
        ("{now: 1}", "a timestamp cannot be a key"),
        ("[now, duration('1s')].sort()", "of one of these alone"),
        ("[now].sum()", "takes numbers or durations, not timestamp"),
        ("uint(now)", "cannot take (timestamp)"),
        ("int(duration('1s'))", "cannot take (duration)"),
        ("duration('1s').getFullYear()", "cannot take (duration)"),
        ("duration('1s').getHours('UTC')", "cannot take (duration, string)"),
        ("'x'.getHours()", "cannot take (string)"),
        ("now.getHours(1)", "cannot take (timestamp, int)"),
        ("now()", "there is no function `now`"),
        ("timestamp(9223372036854775807)", "outside the years"),
        ("timestamp(true)", "cannot take (bool)"),
        ("timestamp('2025-11-26')", "\"2025-11-26\" is not an RFC 3339 time"),
        ("timestamp('2025-02-30T12:00:00Z')", "is not an RFC 3339 time"),
        ("timestamp('2025-11-26T12:00:00.0000000001Z')", "is not an RFC 3339 time"),
        ("timestamp('2025-11-26T12:00:00+24:00')", "is not an RFC 3339 time"),
        ("duration('1 fortnight')", "\"1 fortnight\" is not a duration"),
    ]);
}

#[test]
fn clocks_are_set_as_the_table_says() {
    holds(&[
        // Summer and winter, in any case, by an offset.
        ("timestamp('2024-07-01T12:00:00Z').getHours('Europe/Berlin')", json!(14)),
        ("timestamp('2024-01-01T12:00:00Z').getHours('europe/berlin')", json!(13)),
        ("timestamp('2024-01-01T12:00:00Z').getHours('-23:59')", json!(12)),
        // Long after the last change the table names.
        ("timestamp('9999-07-01T12:00:00Z').getHours('Europe/Berlin')", json!(14)),
        ("timestamp('9999-12-31T23:59:59Z').getHours('UTC')", json!(23)),
        ("timestamp('9999-12-31T23:59:59Z').getHours('America/New_York')", json!(18)),
        // A text that is looked up when it is known.
        ("['UTC', 'Asia/Tokyo'].map(z, timestamp('2024-01-01T00:00:00Z').getHours(z))", json!([0, 9])),
    ]);
    let no_zone = [
        "",
        "Europe",
        "Europe/Atlantis",
        "+2",
        "+02:60",
        "+24:00",
        "CEST",
        "Etc/Unknown",
        "../etc/passwd",
        "localtime",
    ];
    for zone in no_zone {
        let source = format!("timestamp('2024-01-01T12:00:00Z').getHours('{zone}')");
        let reason = evaluate(&source, &json!({})).expect_err(zone);
        assert!(reason.contains(&format!("{zone:?} is no time zone")), "{reason}");
    }
    refuses(&[
        ("timestamp('9999-12-31T23:59:59Z').getHours('+01:00')", "outside the years"),
        ("timestamp('0001-01-01T00:00:00Z').getHours('America/New_York')", "outside the years"),
    ]);
}

#[test]
fn a_time_is_written_and_read_after_a_pattern() {
    holds(&[
        ("time.format(now, '%Y-%m-%d')", json!("2025-11-26")),
        ("time.format(now, '%d.%m.%Y %H:%M:%S %z', 'Europe/Berlin')", json!("26.11.2025 13:00:00 +0100")),
        ("time.format(now, '%A %a %B %b %e %j %u %w %G-W%V')", json!("Wednesday Wed November Nov 26 330 3 3 2025-W48")),
        (
            "time.format(now, '%F %T%.3f %I %p %R %:z %f %.f 100%%', '-02:30')",
            json!("2025-11-26 09:30:00.500 09 AM 09:30 -02:30 5 .5 100%"),
        ),
        ("time.format(timestamp('0001-01-01T00:00:00Z'), '%F')", json!("0001-01-01")),
        ("time.format(timestamp('9999-12-31T23:59:59Z'), '%F %A')", json!("9999-12-31 Friday")),
        ("time.format(now, 'größe')", json!("größe")),
        ("time.format(now, '')", json!("")),
        ("time.parse('26.11.2025', '%d.%m.%Y')", json!("2025-11-26T00:00:00Z")),
        ("time.parse('26.11.2025 13:00', '%d.%m.%Y %H:%M', 'Europe/Berlin')", json!("2025-11-26T12:00:00Z")),
        ("time.parse('2025-11-26 13:00 +0100', '%F %H:%M %z')", json!("2025-11-26T12:00:00Z")),
        // What the text says of its zone counts.
        ("time.parse('2025-11-26 13:00 +01:00', '%F %H:%M %:z', 'Asia/Tokyo')", json!("2025-11-26T12:00:00Z")),
        ("time.parse('Nov 6 2025 1:05:07.25 PM', '%b %d %Y %I:%M:%S%.f %p')", json!("2025-11-06T13:05:07.25Z")),
        ("time.parse('2025-330', '%Y-%j')", json!("2025-11-26T00:00:00Z")),
        ("time.parse('9999-12-31', '%F')", json!("9999-12-31T00:00:00Z")),
        // In spring clocks leap over half past two, in autumn they show it twice.
        ("time.parse('2024-03-31 02:30', '%F %R', 'Europe/Berlin')", json!("2024-03-31T01:30:00Z")),
        ("time.parse('2024-10-27 02:30', '%F %R', 'Europe/Berlin')", json!("2024-10-27T00:30:00Z")),
    ]);
    refuses(&[
        ("time.format(now, '%Q')", "`%Q` does not begin with a part of a time"),
        ("time.format(now, '%')", "`%` does not begin"),
        ("time.format(now, '%200d')", "`%200d` does not begin"),
        ("time.format(now, '%0f')", "does not begin"),
        ("time.format(now, '%s')", "does not begin"),
        ("time.format(now, '%c %x %X %r')", "does not begin"),
        ("time.format(now, '%ü')", "`%ü` does not begin"),
        ("time.format('2025', '%Y')", "cannot take (string, string)"),
        ("time.format(now, '%Y', 'Mars')", "\"Mars\" is no time zone"),
        ("time.parse('26.11.25', '%d.%m.%Y %H')", "is not written as"),
        ("time.parse('31.02.2025', '%d.%m.%Y')", "is not written as"),
        ("time.parse('13:00', '%H:%M')", "is not written as"),
        ("time.parse('2025-11-26x', '%F')", "is not written as"),
        ("time.parse('0000-01-01', '%F')", "outside the years"),
        ("time.parse('9999-12-31 23:00 -0200', '%F %R %z')", "outside the years"),
        ("time.parse(lists.range(201).map(x, 'x').join(), '%F')", "longer than 200 bytes"),
        ("time.format(now, lists.range(201).map(x, 'x').join())", "longer than 200 bytes"),
    ]);
}

#[test]
fn a_time_is_truncated_on_the_clocks_of_a_zone() {
    let time = "timestamp('2024-05-15T23:31:30.123456789Z')";
    let cases = [
        ("'second'", "2024-05-15T23:31:30Z"),
        ("'minute'", "2024-05-15T23:31:00Z"),
        ("'hour'", "2024-05-15T23:00:00Z"),
        ("'day'", "2024-05-15T00:00:00Z"),
        ("'week'", "2024-05-13T00:00:00Z"),
        ("'month'", "2024-05-01T00:00:00Z"),
        ("'quarter'", "2024-04-01T00:00:00Z"),
        ("'year'", "2024-01-01T00:00:00Z"),
        ("'hour', 'Asia/Kathmandu'", "2024-05-15T23:15:00Z"),
        ("'day', 'Europe/Berlin'", "2024-05-15T22:00:00Z"),
        ("'week', '-12:00'", "2024-05-13T12:00:00Z"),
        ("'year', 'Europe/Berlin'", "2023-12-31T23:00:00Z"),
    ];
    for (how, expected) in cases {
        let source = format!("time.truncate({time}, {how})");
        assert_eq!(evaluate(&source, &json!({})), Ok(json!(expected)), "{source}");
    }
    holds(&[
        // The second of two hours that are both two o'clock.
        ("time.truncate(timestamp('2024-10-27T01:30:00Z'), 'hour', 'Europe/Berlin')", json!("2024-10-27T01:00:00Z")),
        // A day of which the first hour is leapt over, and one that begins twice.
        ("time.truncate(timestamp('2018-11-04T12:00:00Z'), 'day', 'America/Sao_Paulo')", json!("2018-11-04T03:00:00Z")),
        ("time.truncate(timestamp('2024-11-03T12:00:00Z'), 'day', 'America/Havana')", json!("2024-11-03T04:00:00Z")),
        // Samoa had no 30 December 2011.
        ("time.truncate(timestamp('2011-12-30T12:00:00Z'), 'day', 'Pacific/Apia')", json!("2011-12-30T10:00:00Z")),
        ("time.truncate(timestamp('2012-01-01T00:00:00Z'), 'week', 'Pacific/Apia')", json!("2011-12-26T10:00:00Z")),
        // Toronto leapt from half past eleven over midnight.
        ("time.truncate(timestamp('1919-03-31T12:00:00Z'), 'day', 'America/Toronto')", json!("1919-03-31T04:30:00Z")),
        ("time.truncate(timestamp('9999-12-31T23:59:59Z'), 'day')", json!("9999-12-31T00:00:00Z")),
    ]);
    refuses(&[
        ("time.truncate(now, 'fortnight')", "\"fortnight\" is none of `second`"),
        ("time.truncate(timestamp('0001-01-01T12:00:00Z'), 'day', '+05:00')", "outside the years"),
        ("time.truncate(now, 1)", "cannot take (timestamp, int)"),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever time and zone: nothing panics, what is truncated lies before and stays there, and a text reads back.
    #[test]
    fn times_keep_their_laws(
        seconds in prop_oneof![-62_135_596_800_i64..253_402_300_800, 0_i64..2_000_000_000, any::<i64>()],
        nanos in 0_u32..1_000_000_000,
        zone in proptest::sample::select(vec![
            "UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
            "Africa/Monrovia", "America/Havana", "+23:59", "-12:30",
        ]),
        unit in proptest::sample::select(vec!["second", "minute", "hour", "day", "week", "month", "quarter", "year"]),
    ) {
        let input = json!({"s": seconds, "n": format!("{nanos}ns"), "z": zone, "u": unit});
        let time = "[timestamp(input.s) + duration(input.n)]";
        let outside = |reason: String| reason.contains("outside the years");
        match evaluate(&format!("{time}.map(t, time.truncate(t, input.u, input.z) <= t)"), &input) {
            Ok(before) => prop_assert_eq!(before, json!([true])),
            Err(reason) => prop_assert!(outside(reason)),
        }
        if ["day", "week", "month", "quarter", "year"].contains(&unit) {
            let again = "time.truncate(time.truncate(t, input.u, input.z), input.u, input.z)";
            let source = format!("{time}.map(t, {again} == time.truncate(t, input.u, input.z))");
            match evaluate(&source, &input) {
                Ok(same) => prop_assert_eq!(same, json!([true])),
                Err(reason) => prop_assert!(outside(reason)),
            }
        }
        let pattern = "'%Y-%m-%d %H:%M:%S%.f %:z'";
        let source = format!("{time}.map(t, time.parse(time.format(t, {pattern}, input.z), {pattern}) == t)");
        match evaluate(&source, &input) {
            // An old local time has seconds in its offset.
            Ok(same) => prop_assert_eq!(same, json!([true])),
            Err(reason) => prop_assert!(outside(reason)),
        }
        match evaluate(&format!("{time}.map(t, timestamp(string(t)) == t && int(t) == input.s)"), &input) {
            Ok(same) => prop_assert_eq!(same, json!([true])),
            Err(reason) => prop_assert!(outside(reason)),
        }
    }
}
