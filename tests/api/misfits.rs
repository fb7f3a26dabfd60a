//! Models that cannot compute the pictures which their manifest describes: the reason, and the key that mends it. They are
//! those of tests/golden/misfits/make_models.py, which take pictures of [3, 8, 8] or just do not.

use axum::body::Body;
use axum::http::Request;
use lucarne::config::Settings;

use crate::support::{path, router_over, send};

/// A model, what its manifest has beside the pictures' size, and what is said of it; nothing where it is right.
const CASES: [(&str, &str, &str, &[&str]); 13] = [
    (
        "written_batch",
        "",
        "",
        &[
            "a blank batch of 16: RuntimeError: shape '[1, 2]' is invalid for input of size 32, at `",
            "set max_batch_size = 1 under [batching], or export it with sizes that follow its input",
        ],
    ),
    ("written_batch", "", "[batching]\nmax_batch_size = 1", &[]),
    (
        "joined_batch",
        "",
        "",
        &[
            "forward answered [1, 32], expected 16 rows",
            "set max_batch_size = 1",
        ],
    ),
    ("joined_batch", "", "[batching]\nmax_batch_size = 1", &[]),
    (
        "five_channels",
        "",
        "",
        &[
            "it takes 5 channels, and `color` under [input] gives 3; pictures have 3 or 1",
            "task = \"tensor\"",
        ],
    ),
    (
        "one_channel",
        "",
        "",
        &["it takes 1 channel, and `color` under [input] gives 3: set color = \"gray\""],
    ),
    ("one_channel", "color = \"gray\"", "", &[]),
    (
        "five_channels",
        "color = \"gray\"",
        "",
        &["`color` under [input] gives 1"],
    ),
    (
        "double",
        "",
        "",
        &["its numbers are not all f32: export it as net.float()"],
    ),
    ("half", "", "", &[]),
    ("half", "", "[instances]\nprecision = \"f16\"", &[]),
    (
        "sized",
        "",
        "",
        &[
            "a matrix takes 768 numbers and was given 192",
            "for pictures of [8, 8], as `size` under [input] says?",
        ],
    ),
    (
        "placed",
        "",
        "",
        &["tensors of 4 and 16 cells meet: was the model made for pictures of [8, 8]"],
    ),
];

#[tokio::test]
async fn what_does_not_fit_is_told_with_the_key_that_mends_it() {
    let models = tempfile::tempdir().expect("a temporary folder");
    let name = |index: usize, file: &str| format!("{file}_{index}");
    for (index, (file, input, rest, _)) in CASES.iter().enumerate() {
        let folder = models.path().join(name(index, file));
        std::fs::create_dir(&folder).expect("writable");
        let source = path("tests/golden/misfits").join(format!("{file}.pt"));
        std::fs::copy(source, folder.join("model.pt")).expect("a copy");
        let manifest = format!(
            "task = \"classification\"\nrequired = false\n[input]\nsize = [8, 8]\nresize = \"stretch\"\n{input}\n{rest}\n"
        );
        std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    }
    let router = router_over(models.path().to_owned(), Settings::default());
    for (index, (file, _, _, expected)) in CASES.iter().enumerate() {
        let uri = format!("/v1/models/{}", name(index, file));
        let request = Request::get(&uri).body(Body::empty()).expect("a request");
        let model = send(router.clone(), request).await.json();
        let error = model["error"].as_str().unwrap_or_default();
        assert_eq!(error.is_empty(), expected.is_empty(), "{uri}: {model}");
        for words in *expected {
            assert!(error.contains(words), "{uri}: {error}");
        }
        assert!(
            !error.contains("Traceback") && error.lines().count() <= 1,
            "{uri}: {error}"
        );
    }
}
