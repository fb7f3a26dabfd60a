//! `NaN`, `Infinity` and `-Infinity` as Python writes them into what it calls JSON: JSON has no such numbers, so they become
//! texts, which a tensor's elements may be.

/// What Python writes, the longest first where one begins another.
const BARE: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// The same JSON with such numbers as texts; nothing where there is none.
pub(super) fn quoted(json: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(json.len());
    let (mut rest, mut in_text, mut found) = (json, false, false);
    while let [first, behind @ ..] = rest {
        let bare = BARE.iter().find(|bare| !in_text && rest.starts_with(bare));
        if let Some(bare) = bare {
            found = true;
            written.push(b'"');
            written.extend_from_slice(bare);
            written.push(b'"');
            rest = &rest[bare.len()..];
            continue;
        }
        written.push(*first);
        rest = behind;
        match (first, behind) {
            (b'\\', [escaped, behind @ ..]) if in_text => {
                written.push(*escaped);
                rest = behind;
            }
            (b'"', _) => in_text = !in_text,
            _ => {}
        }
    }
    found.then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_has_not_become_texts_and_texts_stay() {
        let of =
            |json: &str| quoted(json.as_bytes()).map(|written| String::from_utf8(written).expect("UTF-8"));
        assert_eq!(
            of(r#"{"a": [NaN, -Infinity, Infinity, 1]}"#).as_deref(),
            Some(r#"{"a": ["NaN", "-Infinity", "Infinity", 1]}"#)
        );
        assert_eq!(of(r#"{"NaN": "say \"NaN\" \\", "b": 1}"#), None);
        assert_eq!(of(r#"["\\", NaN]"#).as_deref(), Some(r#"["\\", "NaN"]"#));
        assert_eq!(of("\"NaN"), None);
    }
}
