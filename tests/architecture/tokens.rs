//! Paths among tokens that are no syntax yet: the arguments of macros and attributes.

use syn::buffer::Cursor;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Ident, LitStr, Token};

use crate::uses::Segments;

/// Whether paths also stand in strings: serde's attributes name functions so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoted {
    /// A string may be a path.
    Read,
    /// A string is a text.
    Skipped,
}

/// Every `a::b::c` in `tokens`, and every single word with a capital, which may be a type or a constant.
pub fn paths(tokens: Cursor<'_>, quoted: Quoted) -> Vec<Segments> {
    let mut found = Vec::new();
    collect(tokens, quoted, &mut found);
    found
}

fn collect(mut at: Cursor<'_>, quoted: Quoted, found: &mut Vec<Segments>) {
    let mut is_metavariable = false;
    while !at.eof() {
        if let Some((path, rest)) = path(at) {
            let is_crate = path[0] == "crate";
            if (!is_metavariable || is_crate) && is_telling(&path) {
                found.push(path);
            }
            at = rest;
            is_metavariable = false;
            continue;
        }
        if let Some((inner, _, _, _)) = at.any_group() {
            collect(inner, quoted, found);
        } else if quoted == Quoted::Read
            && let Some((literal, _)) = at.literal()
        {
            found.extend(within_quotes(&literal.to_string()));
        }
        is_metavariable = at.punct().is_some_and(|(punct, _)| punct.as_char() == '$');
        // A lifetime is a quote and a word to the eye, and one step to the cursor.
        let lifetime = at.lifetime().map(|(_, rest)| rest);
        let Some(rest) = lifetime.or_else(|| at.token_tree().map(|(_, rest)| rest)) else {
            return;
        };
        at = rest;
    }
}

/// The longest path that starts here: words with `::` between, or before the first.
fn path(at: Cursor<'_>) -> Option<(Segments, Cursor<'_>)> {
    let mut segments = Vec::new();
    let (first, mut rest) = match colons(at).and_then(Cursor::ident) {
        Some(start) => {
            segments.push(String::new());
            start
        }
        None => at.ident()?,
    };
    segments.push(word(&first));
    while let Some((next, after)) = colons(rest).and_then(Cursor::ident) {
        segments.push(word(&next));
        rest = after;
    }
    Some((segments, rest))
}

fn word(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// What stands behind `::`.
fn colons(at: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, rest) = at.punct()?;
    let (second, rest) = rest.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(rest)
}

/// Whether a path can be looked up: a single small word may as well be a variable.
fn is_telling(path: &[String]) -> bool {
    path.len() > 1 || path[0].starts_with(char::is_uppercase)
}

/// The path that a literal such as `"crate::image::read"` is.
fn within_quotes(literal: &str) -> Option<Segments> {
    let text = syn::parse_str::<LitStr>(literal).ok()?.value();
    let words = |input: ParseStream<'_>| {
        let mut segments = vec![word(&input.call(Ident::parse_any)?)];
        while input.parse::<Option<Token![::]>>()?.is_some() {
            segments.push(word(&input.call(Ident::parse_any)?));
        }
        Ok(segments)
    };
    words.parse_str(&text).ok().filter(|path| path.len() > 1)
}
