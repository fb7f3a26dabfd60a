//! `[[inputs]]` and `[[outputs]]`.

use super::super::{Dtype, Manifest};

#[test]
fn a_tensor_model_names_its_tensors_instead_of_an_input() {
    let text = "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 4]\n\
                [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 2]";
    let manifest = Manifest::parse(text).expect("a tensor model");
    assert!(manifest.image_input().is_err());
    let tensors = manifest.tensors().expect("tensors");
    let input = &tensors.inputs[0];
    assert_eq!(
        (input.spec.name.as_str(), input.spec.shape.as_slice()),
        ("x", [-1, 4].as_slice())
    );
    assert_eq!(
        (input.example.as_slice(), input.max_elements),
        ([1, 4].as_slice(), None)
    );
    assert!(tensors.is_batched());
    assert!(
        Manifest::parse("task = \"tensor\"").expect_err("no tensors")[0].starts_with("inputs: is missing")
    );
}

/// A model of one input and one output with these keys.
fn tensors(input: &str, output: &str) -> Result<Manifest, Vec<String>> {
    Manifest::parse(&format!(
        "task = \"tensor\"\n[[inputs]]\nname = \"x\"\n{input}\n[[outputs]]\nname = \"y\"\n{output}"
    ))
}

#[test]
fn tensors_have_seven_types_and_every_wrong_key_is_told() {
    for dtype in Dtype::ALL {
        let key = format!("dtype = \"{dtype}\"\nshape = [-1, 4]");
        let manifest = tensors(&key, &key).expect("a type");
        assert_eq!(manifest.tensors().expect("tensors").outputs[0].dtype, dtype);
    }
    let good = "dtype = \"f32\"\nshape = [-1, 2]";
    for (input, output, word) in [
        (
            "dtype = \"float\"\nshape = [1]",
            good,
            "inputs[0].dtype: found \"float\"",
        ),
        (
            "dtype = \"f32\"\nshape = [0]",
            good,
            "inputs[0].shape: found 0, expected sizes from 1",
        ),
        ("dtype = \"f32\"\nshape = [-2]", good, "inputs[0].shape: found -2"),
        (
            "dtype = \"f32\"\nshape = [65536, 65536]",
            good,
            "inputs[0].shape: expected at most",
        ),
        (
            good,
            "dtype = \"f32\"\nshape = [-1]\nexample = [1]",
            "outputs[0].example: unknown key",
        ),
        (good, "dtype = \"f32\"", "outputs[0].shape: is missing"),
        (
            "dtype = \"f32\"\nshape = [-1, -1]",
            good,
            "inputs[0].example: is missing; the shape [-1, -1] has open sizes",
        ),
        (
            "dtype = \"f32\"\nshape = [-1, -1]\nexample = [1]",
            good,
            "inputs[0].example: found [1]",
        ),
        (
            "dtype = \"f32\"\nshape = [-1, 3]\nexample = [1, 4]",
            good,
            "inputs[0].example: found [1, 4]",
        ),
        (
            "dtype = \"f32\"\nshape = [-1]\nmax_elements = 0",
            good,
            "inputs[0].max_elements: found 0",
        ),
        (
            "dtype = \"f32\"\nshape = [-1]",
            "dtype = \"f32\"\nshape = []",
            "inputs[0].example: is missing",
        ),
        (
            "dtype = \"f64\"\nshape = [-1, 16777216]",
            good,
            "batching.max_batch_size: found 16; of inputs of",
        ),
    ] {
        let problems = tensors(input, output).expect_err(word);
        assert!(
            problems.iter().any(|problem| problem.starts_with(word)),
            "{word}: {problems:?}"
        );
    }
    let twice = "task = \"tensor\"\ninputs = []\n[[outputs]]\nname = \"y y\"\ndtype = \"f32\"\nshape = [1]\n";
    let problems = Manifest::parse(twice).expect_err("no inputs");
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("inputs: found 0, expected 1 to")),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("outputs[0].name: expected at most")),
        "{problems:?}"
    );
    let packaged = tensors(
        "dtype = \"f16\"\nshape = [-1, 2]",
        &format!("{good}\n[artifact]\nformat = \"aoti\""),
    );
    assert!(packaged.expect_err("f16")[0].starts_with("artifact.format: found \"aoti\""));
}

#[test]
fn an_open_size_is_tried_as_its_example_says() {
    let input = |keys: &str, output: &str| {
        let manifest = tensors(keys, output).expect("they are right");
        let tensors = manifest.tensors().expect("tensors").clone();
        (
            tensors.is_batched(),
            tensors.inputs[0].example.clone(),
            tensors.inputs[0].max_elements,
        )
    };
    let (batched, whole) = ("dtype = \"f32\"\nshape = [-1, 2]", "dtype = \"f32\"\nshape = [2]");
    let open = "dtype = \"i64\"\nshape = [-1, -1]\nexample = [3, 8]";
    assert_eq!(
        input(open, batched),
        (true, vec![3, 8], Some(128)),
        "16 times a row of the example"
    );
    assert_eq!(
        input(open, whole),
        (false, vec![3, 8], Some(384)),
        "16 times the example"
    );
    let own = format!("{open}\nmax_elements = 9");
    assert_eq!(input(&own, batched), (true, vec![3, 8], Some(9)));
    let fixed = "dtype = \"i64\"\nshape = [3, 8]";
    assert_eq!(input(fixed, batched), (false, vec![3, 8], None));
}

#[test]
fn a_range_is_one_of_whole_numbers_of_the_type() {
    let range = |keys: &str| {
        let manifest = tensors(keys, "dtype = \"f32\"\nshape = [2]")?;
        Ok::<_, Vec<String>>(manifest.tensors().expect("tensors").inputs[0].range)
    };
    let found = range("dtype = \"i64\"\nshape = [2]\nrange = [-1, 999]");
    assert_eq!(found, Ok(Some([-1, 999])));
    for wrong in [
        "dtype = \"i64\"\nshape = [2]\nrange = [2, 1]",
        "dtype = \"u8\"\nshape = [2]\nrange = [0, 256]",
        "dtype = \"f32\"\nshape = [2]\nrange = [0, 1]",
    ] {
        let problems = range(wrong).expect_err(wrong);
        assert!(problems[0].contains("range: found"), "{problems:?}");
    }
}
