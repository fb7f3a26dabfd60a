//! The page of an evaluation: one file without scripts, which loads nothing.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::case::{Pictured, Report};
use crate::cli::opened::Opened;
use crate::error::Result;

/// What a browser may do for the page: show pictures that are in it, and style it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.6rem}table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}\
td+td{font-variant-numeric:tabular-nums}figure{margin:1.5rem 0;padding:0}figure img{max-width:48%;vertical-align:top;margin-right:1%}\
figcaption{overflow-wrap:anywhere}p{margin:.2rem 0}\
@media (prefers-color-scheme:dark){body{color:#eee;background:#181818}td,th{border-color:#444}}";

/// The page as HTML.
pub(super) fn page(opened: &Opened, report: &Report, cases: &[Pictured]) -> String {
    let model = &opened.model;
    let title = format!("{}, version {}: evaluation", model.name, model.version);
    let rows: String = report
        .rows
        .iter()
        .map(|(name, value)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value)))
        .collect();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p>{}</p>\n<table>\n{rows}</table>\n",
        escaped(&model.spec.manifest.description),
        title = escaped(&title),
    );
    if !cases.is_empty() {
        html.push_str(
            "<h2>The worst pictures</h2>\n<p>Each as it is, and with what the model made of it.</p>\n",
        );
    }
    html.extend(cases.iter().map(figure));
    html.push_str("</body></html>\n");
    html
}

fn figure(shown: &Pictured) -> String {
    let mut html = "<figure>".to_owned();
    html.push_str(&picture(&shown.picture, "the picture"));
    html.push_str(&picture(&shown.answer, "what the model made of it"));
    html.push_str("<figcaption>");
    for line in &shown.case.words {
        // A text takes what is written into it.
        let _ = write!(html, "<p>{}</p>", escaped(line));
    }
    html.push_str("</figcaption></figure>\n");
    html
}

fn picture(png: &Result<Vec<u8>>, what: &str) -> String {
    match png {
        Ok(png) => format!(
            "<img alt=\"{what}\" src=\"data:image/png;base64,{}\">",
            BASE64_STANDARD.encode(png)
        ),
        Err(error) => format!("<p>not shown: {}</p>", escaped(&error.to_string())),
    }
}

/// Text as HTML has it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::case::{Case, Shown};
    use super::*;
    use crate::error::Error;

    #[test]
    fn names_and_labels_are_text_wherever_they_stand() {
        let nasty = "<img src=x onerror=\"alert('1')\"> & co";
        let html = figure(&Pictured {
            case: Case {
                file: PathBuf::new(),
                words: vec![nasty.into()],
                shown: Shown::GradCam(0),
            },
            picture: Err(Error::InvalidImage(nasty.into())),
            answer: Ok(vec![1, 2, 3]),
        });
        assert!(
            !html.contains("<img src=x") && !html.contains("onerror=\""),
            "{html}"
        );
        assert_eq!(
            html.matches("&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; co")
                .count(),
            2
        );
        assert!(html.contains("data:image/png;base64,AQID"));
    }
}
