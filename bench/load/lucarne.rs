//! What only Lucarne's answers and metrics tell.

use serde_json::Value;

use crate::Load;
use crate::sending::Asker;

/// Every number that a model computed, in order: scores of a prediction, data of a map.
pub(crate) fn numbers(answer: &[u8]) -> Vec<f64> {
    let answer: Value = serde_json::from_slice(answer).expect("JSON");
    let classes = answer["predictions"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|p| p["classes"].as_array())
        .flatten();
    let scores = classes.map(|class| &class["score"]);
    let maps = answer["explanations"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|e| e["map"]["data"].as_array())
        .flatten();
    scores.chain(maps).filter_map(Value::as_f64).collect()
}

/// Images and batches that the server has computed for this model and operation so far.
pub(crate) async fn batches(asker: &Asker, load: &Load) -> (f64, f64) {
    let text = asker.get(&format!("{}/metrics", load.url)).await;
    let queue = if load.operation == "explain" {
        "explain"
    } else {
        "predict"
    };
    let value = |name: &str| -> f64 {
        let series = format!(
            "lucarne_batch_size_{name}{{model=\"{}\",queue=\"{queue}\"}}",
            load.model
        );
        let line = text
            .lines()
            .find(|line| line.starts_with(&series))
            .expect("the model's series");
        line.rsplit(' ')
            .next()
            .and_then(|v| v.parse().ok())
            .expect("a number")
    };
    (value("sum"), value("count"))
}
