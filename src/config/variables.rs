//! The settings as variables of the environment, each as people write it: `LUCARNE_TRY_MODELS=no`,
//! `LUCARNE_CORS_ORIGINS=https://a.example,https://b.example`.

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use serde_json::Value;

use crate::error::{Error, Result, excerpt};

/// What variables of settings begin with.
const PREFIX: &str = "LUCARNE_";

/// Variables of another name than their key, after their flag.
const ALIASES: [(&str, &str); 2] = [("allowed_host", "allowed_hosts"), ("cors_origin", "cors_origins")];

/// Variables that other programs read as well, and the setting that each is where nothing else sets it.
const SHARED: [(&str, &str); 1] = [("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint")];

/// Settings that variables set.
#[derive(Debug)]
pub(super) struct Variables(Dict);

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named("variables LUCARNE_…")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}

impl Variables {
    /// Those among `all` that set something. An empty one sets nothing, nor does one of Kubernetes.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for a value of another kind than its setting's.
    pub(super) fn read(
        all: impl Iterator<Item = (String, String)>,
        known: &serde_json::Map<String, Value>,
    ) -> Result<Self> {
        let mut set = Dict::new();
        for (name, text) in all {
            let Some(key) = key(&name) else { continue };
            let Some(default) = known.get(&key) else { continue };
            let text = text.trim();
            if !text.is_empty() && !is_address_of_a_service(text) {
                let value = typed(default, text).map_err(|expected| {
                    let found = excerpt(text);
                    Error::InvalidSettings(format!("{name}: found \"{found}\", expected {expected}"))
                })?;
                match name.starts_with(PREFIX) {
                    true => drop(set.insert(key, value)),
                    false => drop(set.entry(key).or_insert(value)),
                }
            }
        }
        Ok(Self(set))
    }
}

/// Those of `all` that look like settings and are not read, and why.
pub(super) fn unread(
    all: impl Iterator<Item = (String, String)>,
    known: &serde_json::Map<String, Value>,
) -> Vec<(String, String)> {
    let why = |(name, text): (String, String)| {
        let key = key(&name).filter(|key| key != "config")?;
        let why = if known.contains_key(&key) {
            is_address_of_a_service(text.trim()).then(|| {
                "the value looks like what Kubernetes sets for a Service, so the setting counts as not given; rename the \
                 Service, or set enableServiceLinks: false"
                    .to_owned()
            })?
        } else if is_name_of_a_service(&key) {
            "no setting has this name, which is one that Kubernetes sets for a Service; the variable is left out".into()
        } else {
            format!(
                "no setting has this name; the variable is left out{}",
                nearest(&key, known)
            )
        };
        Some((name, why))
    };
    all.filter_map(why).collect()
}

/// The key that a variable is named after.
fn key(name: &str) -> Option<String> {
    if let Some((_, meant)) = SHARED.iter().find(|(shared, _)| *shared == name) {
        return Some((*meant).to_owned());
    }
    let key = name.strip_prefix(PREFIX)?.to_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
    Some(alias.map_or(key, |(_, meant)| (*meant).to_owned()))
}

/// `text` as a value of the same type as `default`, or what is expected.
fn typed(default: &Value, text: &str) -> Result<figment::value::Value, &'static str> {
    Ok(match default {
        Value::Bool(_) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => true.into(),
            "false" | "no" | "off" | "0" => false.into(),
            _ => return Err("true or false"),
        },
        Value::Number(_) => {
            let number: u64 = text.parse().map_err(|_| "a whole number, at least 0")?;
            number.into()
        }
        Value::Array(_) => {
            let items = text.trim_start_matches('[').trim_end_matches(']').split(',');
            let items = items.map(|item| item.trim().trim_matches('"'));
            items.filter(|item| !item.is_empty()).collect::<Vec<_>>().into()
        }
        _ => text.into(),
    })
}

/// Whether a value is the address of a service: `LUCARNE_PORT=tcp://10.0.0.1:80`.
fn is_address_of_a_service(text: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// `LUCARNE_SERVICE_HOST`, `LUCARNE_SERVICE_PORT_HTTP`, `LUCARNE_PORT_80_TCP_ADDR` …
fn is_name_of_a_service(key: &str) -> bool {
    let is_numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    key.starts_with("service_") || key.strip_prefix("port_").is_some_and(is_numbered)
}

/// The setting that may be meant.
fn nearest(key: &str, known: &serde_json::Map<String, Value>) -> String {
    const LIKE: f64 = 0.85;
    let likeness = |known: &String| strsim::jaro_winkler(known, key);
    let best = known.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|best| likeness(best) > LIKE) {
        Some(best) => format!("; did you mean {PREFIX}{}?", best.to_uppercase()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::{Flags, Settings, known as defaults};

    fn with(name: &str, text: &str) -> Result<Settings> {
        Settings::extract(
            None,
            &Flags::default(),
            [(name.to_owned(), text.to_owned())].into_iter(),
        )
    }

    /// What is set, as the settings have it.
    fn set(key: &str, text: &str) -> Value {
        let settings = with(&format!("{PREFIX}{}", key.to_uppercase()), text).expect(key);
        serde_json::to_value(settings).expect("settings")[key].clone()
    }

    #[test]
    fn every_setting_can_be_set_by_a_variable_in_its_plain_form() {
        for (key, default) in defaults() {
            match default {
                Value::Bool(_) => {
                    for (word, flag) in [
                        ("true", true),
                        ("Yes", true),
                        ("1", true),
                        ("FALSE", false),
                        ("no", false),
                        ("0", false),
                    ] {
                        assert_eq!(set(&key, word), flag, "{key}={word}");
                    }
                }
                Value::Number(_) => assert_eq!(set(&key, " 301 "), 301, "{key}"),
                Value::Array(_) => {
                    assert_eq!(set(&key, "*"), serde_json::json!(["*"]), "{key}");
                    let two = serde_json::json!(["https://a.example", "https://b.example"]);
                    assert_eq!(set(&key, "https://a.example, https://b.example"), two, "{key}");
                    assert_eq!(
                        set(&key, "[\"https://a.example\",\"https://b.example\"]"),
                        two,
                        "{key}"
                    );
                }
                Value::String(_) | Value::Null => {
                    let text = match key.as_str() {
                        "host" => "0.0.0.0",
                        "log_format" => "json",
                        "model_control" => "poll",
                        "operations" => "127.0.0.1:8081",
                        // As a name, not as a number or a list.
                        _ => "17",
                    };
                    assert_eq!(set(&key, text), text, "{key}");
                }
                Value::Object(_) => panic!("{key} is no plain setting"),
            }
        }
    }

    #[test]
    fn every_flag_is_a_setting_and_every_setting_a_flag() {
        let flags = Flags::augment_args(clap::Command::new("serve"));
        let mut flags: Vec<String> = flags
            .get_arguments()
            .map(|flag| flag.get_id().to_string())
            .collect();
        flags.retain(|flag| flag != "config");
        let mut settings: Vec<String> = defaults().into_iter().map(|(key, _)| key).collect();
        flags.sort();
        settings.sort();
        assert_eq!(flags, settings);
        // A variable is named after its flag, too.
        let flags = Flags::augment_args(clap::Command::new("serve"));
        for flag in flags.get_arguments().filter(|flag| flag.get_id() != "config") {
            let variable = format!(
                "{PREFIX}{}",
                flag.get_long()
                    .expect("a long flag")
                    .replace('-', "_")
                    .to_uppercase()
            );
            assert!(
                unread([(variable.clone(), "1".to_owned())].into_iter(), &defaults()).is_empty(),
                "{variable}"
            );
        }
    }

    #[test]
    fn what_is_of_another_kind_is_refused_by_the_name_of_the_variable() {
        for (name, text, expected) in [
            (
                "LUCARNE_MAX_IMAGES",
                "many",
                "LUCARNE_MAX_IMAGES: found \"many\", expected a whole number",
            ),
            ("LUCARNE_MAX_IMAGES", "-1", "expected a whole number, at least 0"),
            (
                "LUCARNE_TRY_MODELS",
                "perhaps",
                "LUCARNE_TRY_MODELS: found \"perhaps\", expected true or false",
            ),
            ("LUCARNE_PORT", "99999", "port"),
            ("LUCARNE_HOST", "localhost", "host"),
        ] {
            let error = with(name, text).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_empty_or_of_kubernetes_sets_nothing() {
        for (name, text) in [
            ("LUCARNE_PORT", ""),
            ("LUCARNE_PORT", "tcp://10.0.0.1:8080"),
            ("LUCARNE_PORT", "sctp://10.0.0.1:8080"),
            ("LUCARNE_SERVICE_HOST", "10.0.0.1"),
            ("LUCARNE_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("LUCARNE_NO_SUCH", "x"),
        ] {
            assert_eq!(with(name, text), Ok(Settings::default()), "{name}={text}");
        }
    }

    #[test]
    fn a_shared_variable_sets_what_no_variable_of_its_own_sets() {
        let shared = || {
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
                "http://all:4318".to_owned(),
            )
        };
        let own = || ("LUCARNE_OTLP_ENDPOINT".to_owned(), "http://own:4318".to_owned());
        for (variables, expected) in [
            (vec![shared()], "http://all:4318"),
            (vec![shared(), own()], "http://own:4318"),
            (vec![own(), shared()], "http://own:4318"),
        ] {
            let settings = Settings::extract(None, &Flags::default(), variables.into_iter());
            let endpoint = settings.expect("right settings").otlp_endpoint;
            assert_eq!(endpoint.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_read_is_told_with_what_may_be_meant() {
        for (name, text, expected) in [
            ("LUCARNE_PORT", "tcp://10.0.0.1:8080", "enableServiceLinks"),
            ("LUCARNE_SERVICE_PORT_HTTP", "8080", "that Kubernetes sets"),
            (
                "LUCARNE_PORT_8080_TCP",
                "tcp://10.0.0.1:8080",
                "that Kubernetes sets",
            ),
            ("LUCARNE_MAX_IMAGE", "3", "did you mean LUCARNE_MAX_IMAGES?"),
            ("LUCARNE_MODLES", "x", "did you mean LUCARNE_MODELS?"),
            ("LUCARNE_QQQ", "x", "the variable is left out"),
        ] {
            let unread = unread([(name.to_owned(), text.to_owned())].into_iter(), &defaults());
            assert_eq!(unread.len(), 1, "{name}");
            assert!(unread[0].1.contains(expected), "{unread:?}");
        }
        for name in ["LUCARNE_PORT", "LUCARNE_CONFIG", "PATH"] {
            assert!(
                unread([(name.to_owned(), "1".to_owned())].into_iter(), &defaults()).is_empty(),
                "{name}"
            );
        }
    }
}
