//! Parameters, wherever they stand: in the query string, in a multipart's text fields, or in JSON. They are
//! one list of names and texts, read with one grammar, so that the same names and values work everywhere.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// Names and values as the client wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    /// [`Error::InvalidParameter`] when a name comes twice.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default())
            .map_err(|e| Error::parameter("query string", e.to_string()))?;
        let mut parameters = Self::default();
        for (name, value) in pairs {
            parameters.add(name, value)?;
        }
        Ok(parameters)
    }

    /// # Errors
    /// [`Error::InvalidParameter`] when the name is there already.
    pub(super) fn add(&mut self, name: String, value: String) -> Result<()> {
        if self.0.iter().any(|(known, _)| *known == name) {
            return Err(Error::parameter(name, "given more than once"));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// # Errors
    /// [`Error::InvalidParameter`] for a name that is there already, or an object as a value.
    pub(super) fn add_json(&mut self, values: serde_json::Map<String, Value>) -> Result<()> {
        for (name, value) in values {
            let text = match value {
                Value::Null => continue,
                Value::Array(items) => {
                    let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                    texts.map(|texts| texts.join(","))
                }
                other => scalar(&other),
            };
            let text =
                text.ok_or_else(|| Error::parameter(&name, "expected text, a number, true or false"))?;
            self.add(name, text)?;
        }
        Ok(())
    }

    /// For an operation that has no parameters.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when there are any.
    pub(super) fn none(&self) -> Result<()> {
        match self.0.first() {
            Some((name, _)) => Err(Error::parameter(name, "this operation has no parameters")),
            None => Ok(()),
        }
    }

    /// The typed parameters of an operation.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`], which names the parameter, what was found and what is expected.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let encoded = serde_urlencoded::to_string(&self.0).map_err(|e| Error::Internal(e.to_string()))?;
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(encoded.as_bytes()));
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let name = error.path().to_string();
            let found = self
                .0
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value);
            let reason = error.inner();
            let message = match found {
                Some(value) if !reason.to_string().contains("unknown field") => {
                    format!("found `{value}`: {reason}")
                }
                _ => reason.to_string(),
            };
            Error::parameter(name, message)
        })
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain;
    use crate::tasks::classification;

    fn read<T: DeserializeOwned>(query: &str) -> Result<T> {
        Parameters::from_query(Some(query))?.read()
    }

    #[test]
    fn the_query_and_json_mean_the_same() {
        let query = Parameters::from_query(Some("top_k=3&layer=1.0&flag=true")).expect("right");
        let mut json = Parameters::default();
        let values = serde_json::json!({"top_k": 3, "layer": "1.0", "flag": true, "none": null});
        json.add_json(values.as_object().expect("an object").clone())
            .expect("right");
        assert_eq!(query, json);
    }

    #[test]
    fn typed_parameters_are_read_from_text() {
        let options: explain::Options =
            read("layer=1.0&target=285&alpha=0.25&overlay=true&colormap=jet").expect("right");
        assert_eq!(options.layer.as_deref(), Some("1.0"));
        assert_eq!(
            options.target,
            explain::Target::try_from("285".to_owned()).expect("a class")
        );
        assert!(options.overlay && options.alpha == 0.25);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |query: &str| {
            read::<classification::Options>(query)
                .expect_err(query)
                .to_string()
        };
        assert!(
            wrong("top_k=x").contains("parameter `top_k`: found `x`: invalid digit"),
            "{}",
            wrong("top_k=x")
        );
        assert!(wrong("topk=3").contains("`topk`") && wrong("topk=3").contains("expected `top_k`"));
        assert!(wrong("top_k=1&top_k=2").contains("more than once"));
        let method = read::<explain::Options>("method=magic")
            .expect_err("no such method")
            .to_string();
        assert!(
            method.contains("parameter `method`") && method.contains("grad_cam"),
            "{method}"
        );
    }
}
