//! Files in JSON: base64 as the world writes it. Lines of 76 columns (MIME), the alphabet of URLs, padding or none, a
//! `data:` URL with any parameters.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const INDIFFERENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, INDIFFERENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, INDIFFERENT);

/// The bytes that `text` stands for, or why there are none.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let payload = unbroken(payload(text.trim())?);
    let engine = if payload.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    engine.decode(payload.as_bytes()).map_err(|e| {
        // In forms that were not encoded for the web a plus arrives as a space.
        let spaces = if payload.contains(' ') {
            "; a space inside may have been a plus"
        } else {
            ""
        };
        format!("it is not base64: {e}{spaces}")
    })
}

/// What follows the head of a `data:` URL; of other text all.
fn payload(text: &str) -> Result<&str, String> {
    let is_url = text
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    if !is_url {
        return Ok(text);
    }
    let (head, payload) = text.split_once(',').ok_or("it is a data: URL without a comma")?;
    let last = head.rsplit(';').next().unwrap_or_default();
    if last.trim().eq_ignore_ascii_case("base64") {
        return Ok(payload.trim_start());
    }
    Err("it is a data: URL that is not in base64; write data:image/png;base64,…".into())
}

/// The lines behind each other. A space within one is no break, and stays to be refused.
fn unbroken(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) {
        return text.split(['\n', '\r']).map(str::trim).collect();
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        // RFC 4648, section 10, and bytes whose digits differ between the alphabets.
        for (text, bytes) in [
            ("Zm9vYmFy", &b"foobar"[..]),
            ("Zm9vYg==", b"foob"),
            ("Zm9vYg", b"foob"),
            ("  Zm9vYg==\n", b"foob"),
            ("Zm9v\r\nYmFy\r\n", b"foobar"),
            ("Zm9v\n  YmFy", b"foobar"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("-_-_", b"\xfb\xff\xbf"),
            ("-_8=", b"\xfb\xff"),
            ("data:image/png;base64,Zm9v", b"foo"),
            ("DATA:image/png;BASE64,Zm9v", b"foo"),
            ("data:image/png;charset=utf-8;base64,Zm9v", b"foo"),
            ("data:image/svg;name=a.png;base64, Zm9v\n", b"foo"),
            ("data:;base64,Zm9v", b"foo"),
            ("", b""),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused_with_the_reason() {
        for (text, reason) in [
            ("%%%", "offset 0"),
            ("Zm9v!mFy", "offset 4"),
            ("Zm9vY", "base64"),
            ("Zm9v YmFy", "may have been a plus"),
            ("Zm+v_mFy", "Invalid symbol 43, offset 2"),
            ("data:image/png,Zm9v", "not in base64"),
            ("data:image/png;base64", "without a comma"),
            ("äöü", "offset 0"),
        ] {
            let refused = decode(text).expect_err(text);
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }
}
