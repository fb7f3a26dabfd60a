//! Whether an answer is the one that is shown.

use serde_json::Value;

/// How far a number may be from the one that is shown, relative to it where it is larger than 1. Another order of sums, as
/// another processor has it, moves a score by about 1e-5; one class for another moves it by more than this.
pub(crate) const TOLERANCE: f64 = 1e-3;

/// Stands for anything.
const ANYTHING: &str = "…";

/// The first thing in which `found` is not as `shown`; `place` says where both are.
pub(crate) fn difference(shown: &Value, found: &Value, place: &str) -> Option<String> {
    let differs = || {
        Some(format!(
            "{place}: the document shows {shown}, the answer is {found}"
        ))
    };
    match (shown, found) {
        (Value::String(text), _) if text == ANYTHING => None,
        (Value::String(text), Value::String(other)) if is_like(text, other) => None,
        (Value::Number(number), Value::Number(other)) => {
            let (number, other) = (number.as_f64()?, other.as_f64()?);
            let allowed = TOLERANCE * number.abs().max(1.0);
            if (number - other).abs() <= allowed {
                None
            } else {
                differs()
            }
        }
        (Value::Array(all), Value::Array(others)) => lists(all, others, place),
        (Value::Object(members), Value::Object(others)) => objects(members, others, place),
        _ if shown == found => None,
        _ => differs(),
    }
}

fn lists(shown: &[Value], found: &[Value], place: &str) -> Option<String> {
    let (shown, may_be_more) = match shown.split_last() {
        Some((Value::String(last), before)) if last == ANYTHING => (before, true),
        _ => (shown, false),
    };
    if found.len() < shown.len() || (found.len() > shown.len() && !may_be_more) {
        let (expected, length) = (shown.len(), found.len());
        return Some(format!(
            "{place}: the document shows {expected} elements, the answer has {length}"
        ));
    }
    let pairs = shown.iter().zip(found).enumerate();
    pairs
        .filter_map(|(index, (shown, found))| difference(shown, found, &format!("{place}[{index}]")))
        .next()
}

type Members = serde_json::Map<String, Value>;

fn objects(shown: &Members, found: &Members, place: &str) -> Option<String> {
    let is_compared = |name: &str| name != ANYTHING && name != "timing_ms";
    for (name, value) in shown.iter().filter(|(name, _)| is_compared(name)) {
        let place = format!("{place}.{name}");
        let Some(other) = found.get(name) else {
            return Some(format!("{place}: the answer has no such member"));
        };
        if let Some(found) = difference(value, other, &place) {
            return Some(found);
        }
    }
    let unknown = found
        .keys()
        .find(|name| is_compared(name) && !shown.contains_key(*name))?;
    let may_be_more = shown.contains_key(ANYTHING);
    (!may_be_more).then(|| format!("{place}.{unknown}: the document does not show it"))
}

/// The first line of `shown` that `found` lacks; all of them must come, in this order.
pub(crate) fn missing_line<'a>(shown: &'a str, found: &str) -> Option<&'a str> {
    let mut rest = found.lines();
    shown
        .lines()
        .filter(|line| line.trim() != ANYTHING)
        .find(|line| !rest.any(|other| is_like(line.trim_end(), other.trim_end())))
}

/// Whether `found` is `shown`, where `…` stands for any text.
fn is_like(shown: &str, found: &str) -> bool {
    let Some((first, pieces)) = shown.split_once(ANYTHING) else {
        return shown == found;
    };
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.split(ANYTHING).collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn an_answer_differs_in_what_is_shown_and_in_what_is_not() {
    let compare = |shown: &str, found: &str| {
        let [shown, found] = [shown, found].map(|text| serde_json::from_str(text).expect("JSON"));
        difference(&shown, &found, "answer")
    };
    for (shown, found) in [
        (
            r#"{"score": 0.72, "timing_ms": {"total": 1}}"#,
            r#"{"score": 0.7204, "timing_ms": {"total": 9}}"#,
        ),
        (r#"[1.0, 300, "…"]"#, "[1, 300.2, 7, 8]"),
        (r#"{"a": "…", "…": "…"}"#, r#"{"a": [1], "b": 2}"#),
        (
            r#"["the nearest: …; or none"]"#,
            r#"["the nearest: `x`; or none"]"#,
        ),
        (r#"[null, true]"#, "[null, true]"),
    ] {
        assert_eq!(compare(shown, found), None, "{shown} {found}");
    }
    for (shown, found, place) in [
        (r#"{"score": 0.72}"#, r#"{"score": 0.73}"#, "answer.score"),
        (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, "answer.b"),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, "answer.b"),
        ("[1]", "[1, 2]", "answer"),
        ("[1, 2]", "[1]", "answer"),
        (r#"["a…"]"#, r#"["b"]"#, "answer[0]"),
        (r#"[true]"#, r#"["true"]"#, "answer[0]"),
    ] {
        let found = compare(shown, found).expect(shown);
        assert!(found.starts_with(&format!("{place}:")), "{found}");
    }
}

#[test]
fn lines_that_are_shown_come_in_their_order() {
    let found = "one 1.5 s\ntwo\nthree\n";
    assert_eq!(missing_line("one … s\n…\nthree\n", found), None);
    assert_eq!(missing_line("three\ntwo\n", found), Some("two"));
    assert_eq!(missing_line("one … ms\n", found), Some("one … ms"));
    assert_eq!(missing_line("one 1… s\ntwo…\n", "one 1 s s\ntwo"), None);
}
