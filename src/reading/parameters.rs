//! Parameters, wherever they stand: in the query string, in a multipart's text fields, or in JSON. They are
//! one list of names and texts, read with one grammar, so that the same names and values work everywhere.

use serde::de::DeserializeOwned;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, Number};

use super::text::{Kind, Pairs, ReadError};
use crate::error::{Error, Result, excerpt};

/// Bytes of a parameter's name at most: more than any name has.
const MOST_NAME: usize = 64;

/// Bytes of a parameter's value at most: the paths of many layers.
pub const MOST_TEXT: usize = 4096;

/// Parameters of a request at most: more than any operation has.
pub const MOST_PARAMETERS: usize = 64;

/// Names and values as the client wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    /// [`Error::InvalidParameter`] when a name comes twice.
    pub fn from_query(query: Option<&str>) -> Result<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default())
            .map_err(|e| Error::parameter("query string", e.to_string()))?;
        let mut parameters = Self::default();
        for (name, value) in pairs {
            parameters.add(name, value)?;
        }
        Ok(parameters)
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when the name is there already.
    pub fn add(&mut self, name: String, value: String) -> Result<()> {
        if name.len() > MOST_NAME {
            return Err(Error::parameter(
                excerpt(&name),
                "there is no parameter of this name",
            ));
        }
        if value.len() > MOST_TEXT {
            let found = value.len();
            return Err(Error::parameter(
                name,
                format!("found {found} bytes, expected at most {MOST_TEXT}"),
            ));
        }
        if self.0.iter().any(|(known, _)| *known == name) {
            return Err(Error::parameter(name, "given more than once"));
        }
        if self.0.len() == MOST_PARAMETERS {
            return Err(Error::parameter(
                name,
                format!("more than {MOST_PARAMETERS} parameters"),
            ));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Adds those of `others`.
    ///
    /// # Errors
    /// As [`Parameters::add`].
    pub fn extend(&mut self, others: Self) -> Result<()> {
        others
            .0
            .into_iter()
            .try_for_each(|(name, value)| self.add(name, value))
    }

    /// Takes the parameter `name` out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Names and texts, as they came.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// For an operation that has no parameters.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there are any.
    pub fn none(&self) -> Result<()> {
        self.none_left("this operation has no parameters")
    }

    /// For an operation that has taken what it knows: `why` there is no other.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there are any.
    pub fn none_left(&self, why: &str) -> Result<()> {
        match self.0.first() {
            Some((name, _)) => Err(Error::parameter(excerpt(name), why)),
            None => Ok(()),
        }
    }

    /// [`Parameters::none`] of a query string.
    ///
    /// # Errors
    /// As [`Parameters::from_query`] and [`Parameters::none`].
    pub fn none_in(query: Option<&str>) -> Result<()> {
        Self::from_query(query)?.none()
    }

    /// The typed parameters of an operation.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`], which names the parameter, what was found and what is expected.
    pub fn read<T: DeserializeOwned + IntoParams>(&self) -> Result<T> {
        serde_path_to_error::deserialize(Pairs(&self.0)).map_err(|error| {
            let name = error.path().to_string();
            let found = self.pairs().find(|(known, _)| *known == name);
            let found = found.map_or("", |(_, text)| text);
            let shown = excerpt(found);
            match error.into_inner() {
                ReadError::Unknown { name, message } => Error::parameter(name, message),
                ReadError::Unfit(kind) => {
                    let documented = T::into_params(|| None);
                    let documented = documented.iter().find(|parameter| parameter.name == name);
                    let expected = expected(kind, found, documented);
                    Error::parameter(name, format!("found `{shown}`, expected {expected}"))
                }
                ReadError::Wrong(reason) => Error::parameter(name, format!("found `{shown}`: {reason}")),
            }
        })
    }
}

/// What a parameter of this kind should be instead of `found`: within the bounds that the OpenAPI document has for it.
fn expected(kind: Kind, found: &str, documented: Option<&Parameter>) -> String {
    let schema = match documented.and_then(|parameter| parameter.schema.as_ref()) {
        Some(RefOr::T(Schema::Object(object))) => Some(object),
        _ => None,
    };
    let least = schema.and_then(|schema| schema.minimum.as_ref()).map(written);
    let most = schema.and_then(|schema| schema.maximum.as_ref()).map(written);
    let (what, most) = match kind {
        Kind::Flag => return "true or false".to_owned(),
        Kind::Words(words) => return format!("one of `{}`", words.join("`, `")),
        Kind::Number => ("a number", most),
        Kind::Whole(of_bits) => {
            let found = found.trim();
            let is_too_much = !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit());
            let of_bits = is_too_much.then(|| of_bits.to_string());
            ("a whole number", most.or(of_bits))
        }
    };
    match (least, most) {
        (Some(least), Some(most)) => format!("{what}, {least} to {most}"),
        (Some(least), None) => format!("{what}, at least {least}"),
        (None, Some(most)) => format!("{what}, at most {most}"),
        (None, None) => what.to_owned(),
    }
}

fn written(number: &Number) -> String {
    match number {
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use utoipa::ToSchema;

    use super::super::bounded::JsonParameters;
    use super::*;

    #[derive(Debug, PartialEq, Deserialize, IntoParams)]
    #[serde(deny_unknown_fields, default)]
    struct Asked {
        #[param(minimum = 1)]
        top_k: usize,
        #[param(minimum = 0, maximum = 1)]
        share: Option<f32>,
        flag: bool,
        #[param(inline)]
        way: Way,
        seed: u64,
        offset: i64,
        weight: f64,
    }

    #[derive(Debug, PartialEq, Default, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    enum Way {
        #[default]
        Straight,
        Round,
    }

    impl Default for Asked {
        fn default() -> Self {
            Self {
                top_k: 5,
                share: None,
                flag: false,
                way: Way::Straight,
                seed: 0,
                offset: 0,
                weight: 0.0,
            }
        }
    }

    fn read(query: &str) -> Result<Asked> {
        Parameters::from_query(Some(query))?.read()
    }

    #[test]
    fn the_query_and_json_mean_the_same() {
        let query = Parameters::from_query(Some("top_k=3&layer=1.0&flag=true")).expect("right");
        let json = r#"{"top_k": 3, "layer": "1.0", "flag": true, "none": null}"#;
        let json: JsonParameters = serde_json::from_str(json).expect("JSON");
        assert_eq!(Ok(query), json.0);
    }

    #[test]
    fn typed_parameters_are_read_from_text() {
        let asked = read("top_k=3&share=0.25&flag=true&way=round").expect("right");
        let expected = Asked {
            top_k: 3,
            share: Some(0.25),
            flag: true,
            way: Way::Round,
            ..Asked::default()
        };
        assert_eq!(asked, expected);
        assert_eq!(read(""), Ok(Asked::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (query, expected) in [
            (
                "top_k=x",
                "`top_k`: found `x`, expected a whole number, at least 1",
            ),
            (
                "top_k=1.5",
                "`top_k`: found `1.5`, expected a whole number, at least 1",
            ),
            ("top_k=", "`top_k`: found ``, expected a whole number, at least 1"),
            (
                "seed=-1",
                "`seed`: found `-1`, expected a whole number, at least 0",
            ),
            (
                "seed=18446744073709551616",
                "expected a whole number, 0 to 18446744073709551615",
            ),
            ("offset=x", "`offset`: found `x`, expected a whole number"),
            ("share=high", "`share`: found `high`, expected a number, 0 to 1"),
            ("weight=high", "`weight`: found `high`, expected a number"),
            ("flag=yes", "`flag`: found `yes`, expected true or false"),
            (
                "way=zigzag",
                "`way`: found `zigzag`, expected one of `straight`, `round`",
            ),
            (
                "topk=3",
                "`topk`: unknown field `topk`, expected one of `top_k`, `share`",
            ),
            ("top_k=1&top_k=2", "`top_k`: given more than once"),
        ] {
            let wrong = read(query).expect_err(query).to_string();
            assert!(wrong.contains(expected), "{query}: {wrong}");
        }
        let json: JsonParameters = serde_json::from_str(r#"{"top_k": true}"#).expect("JSON");
        let wrong = json
            .0
            .and_then(|asked| asked.read::<Asked>())
            .expect_err("no number");
        assert!(
            wrong
                .to_string()
                .contains("found `true`, expected a whole number"),
            "{wrong}"
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_comes_back(pairs in proptest::collection::btree_map(".{1,12}", ".{0,24}", 0..6)) {
            let pairs: Vec<(String, String)> = pairs.into_iter().collect();
            let query = serde_urlencoded::to_string(&pairs).expect("it can be encoded");
            let read = Parameters::from_query(Some(&query)).expect("no name comes twice");
            proptest::prop_assert_eq!(read.0, pairs);
        }
    }
}
