//! The temperature of logits.

use super::super::*;

#[test]
fn a_temperature_is_of_logits_that_become_scores_and_within_its_bounds() {
    let with = |task: &str, output: &str| {
        Manifest::parse(&format!(
            "task = \"{task}\"\n[input]\nsize = [8, 8]\n[output]\n{output}"
        ))
        .map(|manifest| manifest.output.temperature.get())
        .map_err(|problems| problems.join("\n"))
    };
    assert_eq!(with("classification", ""), Ok(1.0));
    assert_eq!(with("classification", "temperature = 1.7"), Ok(1.7));
    assert_eq!(with("segmentation", "temperature = 2"), Ok(2.0));
    for (task, output, expected) in [
        (
            "classification",
            "temperature = 0",
            "output.temperature: found 0, expected a number from 0.01 to 100",
        ),
        (
            "classification",
            "temperature = nan",
            "output.temperature: found NaN, expected",
        ),
        (
            "classification",
            "temperature = 1e9",
            "output.temperature: found 1000000000, expected",
        ),
        (
            "classification",
            "temperature = \"warm\"",
            "output.temperature: found \"warm\" (string), expected",
        ),
        (
            "classification",
            "activation = \"none\"\ntemperature = 2",
            "output.temperature: with activation = \"none\"",
        ),
        ("regression", "temperature = 2", "output.temperature: unknown key"),
    ] {
        let said = with(task, output).expect_err(output);
        assert!(said.contains(expected), "{said}");
    }
}
