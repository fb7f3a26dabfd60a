//! `[versions]`: which versions of a model are loaded, what they are called, and which of them answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::number::number;
use super::reader::Section;
use crate::error::excerpt;

/// Versions of a model that are loaded at the same time at most.
pub const MOST_LOADED: usize = 64;

/// Names that a model's versions may have beside their numbers at most.
const MOST_ALIASES: usize = 64;

/// Versions of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// So many of the newest, at least one.
    Newest(usize),
    /// Every one on disk.
    All,
    /// These, at least one.
    These(Vec<String>),
}

/// A version that is given a part of the requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its number.
    pub version: String,
    /// How much of what asks for no version, 0 to 1.
    pub share: f64,
}

/// The section `[versions]` of a model.toml. Every version here is a number; names stand for theirs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Serving {
    /// What is loaded beside the versions that are named here; nothing more without it.
    pub load: Option<Which>,
    /// The version of each name.
    pub aliases: BTreeMap<String, String>,
    /// What answers where no version is asked for; the newest that is loaded at first without it.
    pub serve: Option<String>,
    /// A version that answers a share of what asks for none.
    pub canary: Option<Part>,
    /// A version that computes a share of what another answers, to be compared with it.
    pub shadow: Option<Part>,
}

impl Serving {
    /// The version that `said`, a number or a name, stands for.
    #[must_use]
    pub fn resolve<'a>(&'a self, said: &'a str) -> &'a str {
        self.aliases.get(said).map_or(said, String::as_str)
    }

    /// Whether `version` stays loaded when another comes to serve: only where model.toml says anything of versions.
    #[must_use]
    pub fn keeps(&self, version: &str, on_disk: &[String]) -> bool {
        *self != Self::default() && self.wanted(on_disk).contains(version)
    }

    /// Which of the versions `on_disk`, oldest first, are loaded: those that are named, and those of the policy.
    #[must_use]
    pub fn wanted(&self, on_disk: &[String]) -> BTreeSet<String> {
        let newest = Which::Newest(1);
        let load = match (&self.load, &self.serve) {
            (Some(which), _) => Some(which),
            (None, Some(_)) => None,
            (None, None) => Some(&newest),
        };
        let parts = [&self.canary, &self.shadow].into_iter().flatten();
        let named = parts.map(|part| &part.version).chain(&self.serve);
        let named = named.chain(self.aliases.values()).cloned();
        named
            .chain(load.into_iter().flat_map(|which| which.of(on_disk)))
            .collect()
    }
}

impl Which {
    /// Those of the versions `on_disk`, oldest first.
    #[must_use]
    pub fn of(&self, on_disk: &[String]) -> Vec<String> {
        match self {
            Self::All => on_disk.to_vec(),
            Self::Newest(count) => on_disk[on_disk.len().saturating_sub(*count)..].to_vec(),
            Self::These(versions) => versions.clone(),
        }
    }
}

/// The `load` key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Load {
    Word(AllVersions),
    Newest(Newest),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllVersions {
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    latest: usize,
}

/// The keys of `[versions]`.
pub(super) fn serving(s: &mut Section<'_>) -> Serving {
    let aliases = aliases(s);
    let load = load(s);
    let said = s.optional("serve", "a version such as \"3\", or one of the aliases");
    let serve = said.and_then(|said: String| known(s, "serve", &said, &aliases));
    let canary = part(s, "canary", &aliases);
    let shadow = part(s, "shadow", &aliases);
    for (key, part) in [("canary", &canary), ("shadow", &shadow)] {
        let is_other = part
            .as_ref()
            .is_none_or(|part| Some(&part.version) != serve.as_ref());
        s.check(is_other, key, || {
            "found the version that `serve` names, expected another".into()
        });
    }
    Serving {
        load,
        aliases,
        serve,
        canary,
        shadow,
    }
}

fn load(s: &mut Section<'_>) -> Option<Which> {
    let expected = "\"all\", { latest = 2 }, or versions such as [\"1\", \"3\"]";
    let most = MOST_LOADED;
    let which = match s.optional("load", expected)? {
        Load::Word(AllVersions::All) => Which::All,
        Load::Newest(Newest { latest }) => {
            s.check((1..=most).contains(&latest), "load", || {
                format!("found latest = {latest}, expected a whole number from 1 to {most}")
            });
            Which::Newest(latest)
        }
        Load::These(versions) => {
            let are_right = (1..=most).contains(&versions.len()) && versions.iter().all(|v| is_number(v));
            s.check(are_right, "load", || {
                format!("expected 1 to {most} versions, each a number as text such as \"3\"")
            });
            Which::These(versions)
        }
    };
    Some(which)
}

fn aliases(s: &mut Section<'_>) -> BTreeMap<String, String> {
    let expected = "names of versions such as { stable = \"3\" }";
    let aliases: BTreeMap<String, String> = s.optional("aliases", expected).unwrap_or_default();
    let is_name = |name: &String| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=64).contains(&name.len())
            && name.bytes().all(is_letter)
            && !name.bytes().all(|b| b.is_ascii_digit())
    };
    s.check(aliases.len() <= MOST_ALIASES, "aliases", || {
        format!("found {}, at most {MOST_ALIASES} are kept", aliases.len())
    });
    s.check(aliases.keys().all(is_name), "aliases", || {
        "expected names of up to 64 letters, digits, `-` and `_`, with a letter in each".into()
    });
    s.check(
        aliases.values().all(|version| is_number(version)),
        "aliases",
        || "expected the number of a version as text for each name, such as { stable = \"3\" }".into(),
    );
    aliases
}

fn part(s: &mut Section<'_>, key: &'static str, aliases: &BTreeMap<String, String>) -> Option<Part> {
    if !s.has(key) {
        // From now on it is known.
        return s.optional::<toml::Value>(key, "a table").and(None);
    }
    s.section(key, |s| {
        let said: String = s.required("version", "a version such as \"4\", or one of the aliases")?;
        let version = known(s, "version", &said, aliases);
        let expected = "a number above 0, up to 1";
        let share: f64 = match key {
            // All of it would be no canary.
            "canary" => s.required("share", expected)?,
            _ => s.optional("share", expected).unwrap_or(1.0),
        };
        s.check(share > 0.0 && share <= 1.0, "share", || {
            format!("found {share}, expected {expected}")
        });
        Some(Part {
            version: version?,
            share,
        })
    })
}

/// The version that `said` stands for.
fn known(s: &mut Section<'_>, key: &str, said: &str, aliases: &BTreeMap<String, String>) -> Option<String> {
    let version = aliases.get(said).map_or(said, String::as_str);
    let is_known = is_number(version);
    s.check(is_known, key, || {
        let said = excerpt(said);
        format!("found \"{said}\", which is neither a version such as \"3\" nor one of `versions.aliases`")
    });
    is_known.then(|| version.to_owned())
}

/// Whether `version` is named as a folder of versions is.
fn is_number(version: &str) -> bool {
    number(version).is_some()
}
