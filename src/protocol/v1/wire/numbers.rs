//! Numbers that are read off pictures.

use serde::Serialize;
use utoipa::ToSchema;

use crate::tasks::regression;

/// The numbers of one image.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct Regression {
    /// In the model's order.
    values: Vec<Quantity>,
}

/// A number and what it is.
#[derive(Debug, Serialize, ToSchema)]
struct Quantity {
    /// Its name; the index as text where model.toml has none.
    #[schema(example = "pressure")]
    name: String,
    /// The number.
    #[schema(example = 6.2)]
    value: f32,
    /// What it is counted in, where model.toml says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "bar")]
    unit: Option<String>,
}

impl From<regression::Prediction> for Regression {
    fn from(found: regression::Prediction) -> Self {
        let quantity = |quantity: regression::Quantity| Quantity {
            name: quantity.name,
            value: quantity.value,
            unit: quantity.unit,
        };
        Self {
            values: found.values.into_iter().map(quantity).collect(),
        }
    }
}
