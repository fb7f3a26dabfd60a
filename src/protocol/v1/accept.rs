//! Which form does the client want? `Accept` picks among the forms that an operation can make.

use axum::http::{HeaderMap, header};

use crate::error::{Error, Result};

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`
    Json,
    /// `image/png`
    Png,
    /// `application/x-npy`
    Npy,
    /// `application/zip`: NPY files by name, which NumPy reads as .npz
    Npz,
    /// `text/event-stream`
    Events,
}

impl Form {
    /// Its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Png => "image/png",
            Self::Npy => "application/x-npy",
            Self::Npz => "application/zip",
            Self::Events => "text/event-stream",
        }
    }
}

/// The form among `offered` (the first is the default) that the client likes best.
///
/// # Errors
/// [`Error::NotAcceptable`] when it accepts none of them.
pub(super) fn choose(headers: &HeaderMap, offered: &[Form]) -> Result<Form> {
    let text: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    let text = text.join(",");
    if text.trim().is_empty() {
        return Ok(offered[0]);
    }
    // Best first: the offer's place breaks ties, so that `*/*` and `image/*, */*` do what one expects.
    let best = offered
        .iter()
        .enumerate()
        .map(|(place, &form)| (quality(&text, form.media_type()), std::cmp::Reverse(place), form))
        .max_by_key(|&(quality, place, _)| (quality, place))
        .filter(|&(quality, ..)| quality > 0);
    best.map(|(.., form)| form).ok_or_else(|| {
        let known: Vec<&str> = offered.iter().map(|form| form.media_type()).collect();
        Error::NotAcceptable(format!(
            "Accept: {text}; this operation answers {}",
            known.join(", ")
        ))
    })
}

impl Form {
    /// Checks that an answer of `images` images can have this form: only JSON holds several.
    ///
    /// # Errors
    /// [`Error::NotAcceptable`]
    pub(super) fn holds(self, images: usize) -> Result<()> {
        if self == Self::Json || images <= 1 {
            return Ok(());
        }
        let form = self.media_type();
        let text = format!("{form} answers one image; send them one by one, or ask for JSON");
        Err(Error::NotAcceptable(text))
    }
}

/// How much the client likes `media_type`, 0..=1000: the q of the most specific range that matches.
fn quality(accept: &str, media_type: &str) -> u32 {
    let kind = media_type.split('/').next().unwrap_or_default();
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let pattern = parts.next().unwrap_or_default();
        let specificity = match pattern {
            _ if pattern.eq_ignore_ascii_case(media_type) => 3,
            _ if pattern
                .strip_suffix("/*")
                .is_some_and(|k| k.eq_ignore_ascii_case(kind)) =>
            {
                2
            }
            "*/*" => 1,
            _ => continue,
        };
        let q = parts
            .find_map(|p| p.strip_prefix("q=")?.parse::<f32>().ok())
            .unwrap_or(1.0);
        if specificity > best.0 {
            best = (specificity, (q.clamp(0.0, 1.0) * 1000.0) as u32);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Result<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().expect("a header value"));
        choose(&headers, &[Form::Json, Form::Png])
    }

    #[test]
    fn accept_picks_the_form() {
        assert_eq!(
            choose(&HeaderMap::new(), &[Form::Json, Form::Png]),
            Ok(Form::Json)
        );
        for (accept, form) in [
            ("*/*", Form::Json),
            ("image/png", Form::Png),
            ("IMAGE/*", Form::Png),
            ("image/avif,image/*;q=0.8,*/*;q=0.5", Form::Png),
            ("application/json;q=0.2, image/png;q=0.9", Form::Png),
            ("application/json, image/png", Form::Json),
            ("text/html, */*;q=0.1", Form::Json),
        ] {
            assert_eq!(chosen(accept), Ok(form), "{accept}");
        }
        assert!(chosen("text/html").is_err() && chosen("application/json;q=0").is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_form_is_chosen_only_where_the_client_takes_it(
            json in 0u32..=10, png in 0u32..=10, spaces in "[ ]{0,2}",
        ) {
            let q = |tenths: u32| f64::from(tenths) / 10.0;
            let accept = format!("application/json;q={}{spaces},{spaces}image/png;q={}", q(json), q(png));
            let expected = match (json, png) {
                (0, 0) => None,
                _ if json >= png => Some(Form::Json),
                _ => Some(Form::Png),
            };
            proptest::prop_assert_eq!(chosen(&accept).ok(), expected, "{}", accept);
        }

        #[test]
        fn any_header_is_answered_with_an_offered_form_or_refused(accept in "[ -~]{0,60}") {
            if let Err(error) = chosen(&accept) {
                proptest::prop_assert_eq!(error.code(), "not_acceptable");
            }
        }
    }
}
