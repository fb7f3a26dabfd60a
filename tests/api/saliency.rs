//! Methods, targets and forms of explanations, on the models of the repository.

use axum::http::{StatusCode, header};
use lucarne::image::{Limits, decode};
use serde_json::{Value, json};

use crate::support::{Answer, get, path, photo, post};

fn picture(model: &str) -> Vec<u8> {
    match model {
        "captioner" => std::fs::read(path("tests/golden/captioner/scene_0.png")).expect("a scene"),
        "unet" => std::fs::read(path("tests/golden/unet/scene_0.png")).expect("a scene"),
        "vae" => std::fs::read(path("tests/golden/vae/bag.png")).expect("a bag"),
        "nanodet" | "selfie" => photo("astronaut.jpg"),
        _ => photo("chelsea.png"),
    }
}

async fn ask(model: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
    post(
        &format!("/v1/models/{model}/explain?{query}"),
        headers,
        picture(model),
    )
    .await
}

/// The explanations, after checking that there are some.
async fn explain(model: &str, query: &str) -> Vec<Value> {
    let answer = ask(model, query, &[]).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, StatusCode::OK, "{model} {query}: {text}");
    let found = answer.json()["explanations"].as_array().expect("a list").clone();
    assert!(!found.is_empty(), "{model} {query}: {text}");
    found
}

fn data(explanation: &Value) -> Vec<f64> {
    serde_json::from_value(explanation["map"]["data"].clone()).expect("finite numbers")
}

/// What keeps a method short in a test.
fn short(model: &str, method: &str) -> &'static str {
    match (model, method) {
        (_, "rise" | "d_rise") => "&n_masks=32",
        (_, "smooth_grad") => "&n_samples=4",
        (_, "integrated_gradients") => "&n_steps=4",
        ("vae", "occlusion") => "",
        (_, "occlusion") => "&window=64&stride=64",
        // Layers of few channels, each of which costs a pass.
        ("mobilenet_v2", "score_cam" | "ablation_cam") => "&layer=features.2",
        ("nanodet", "score_cam" | "ablation_cam") => "&budget_ms=1",
        _ => "",
    }
}

#[tokio::test]
async fn every_listed_method_makes_a_map_that_says_something() {
    for model in ["mobilenet_v2", "nanodet", "selfie", "unet", "captioner", "vae"] {
        let listed = get(&format!("/v1/models/{model}/explainers")).await.json();
        let explainers = listed["explainers"].as_array().expect("a list");
        assert!(explainers.len() >= 14, "{model}: {listed}");
        for explainer in explainers {
            let method = explainer["method"].as_str().expect("a name");
            let tuning = short(model, method);
            for found in explain(model, &format!("method={method}{tuning}")).await {
                let cells: u64 = found["map"]["shape"]
                    .as_array()
                    .expect("a shape")
                    .iter()
                    .filter_map(Value::as_u64)
                    .product();
                assert_eq!(data(&found).len() as u64, cells, "{model} {method}");
                assert_eq!(found["method"], method);
                assert_eq!(
                    found["layer"].is_string(),
                    explainer["needs"].as_str().expect("needs").contains("layer")
                );
                let low = found["map"]["min"].as_f64().expect("a number");
                assert!(
                    explainer["signed"] == true || low >= 0.0 || method == "rise",
                    "{model} {method}: {low}"
                );
                assert_eq!(
                    found["degenerate"], false,
                    "{model} {method}: {}",
                    found["degenerate_reason"]
                );
            }
        }
    }
}

#[tokio::test]
async fn methods_that_a_model_lacks_are_not_listed_and_refused() {
    let names = |listed: &Value| -> Vec<String> {
        let list = listed["explainers"].as_array().expect("a list").iter();
        list.map(|e| e["method"].as_str().expect("a name").to_owned())
            .collect()
    };
    let nanodet = names(&get("/v1/models/nanodet/explainers").await.json());
    assert!(nanodet.contains(&"d_rise".into()) && !nanodet.contains(&"attention".into()));
    assert!(
        !nanodet.contains(&"guided_backprop".into()),
        "NanoDet-g has leaky ReLUs only"
    );
    for (model, method) in [
        ("nanodet", "guided_backprop"),
        ("nanodet", "attention"),
        ("mobilenet_v2", "d_rise"),
    ] {
        let refused = ask(model, &format!("method={method}"), &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "unsupported_for_task"),
            "{model} {method}"
        );
    }
}

#[tokio::test]
async fn targets_are_resolved_and_said() {
    for (model, query, pointer, expected) in [
        ("nanodet", "", "/target/object", json!(0)),
        ("nanodet", "", "/target/label", json!("person")),
        ("nanodet", "target=person", "/target/object", json!(0)),
        (
            "nanodet",
            "target=box=0,0,300,400",
            "/target/label",
            json!("person"),
        ),
        ("selfie", "", "/target/label", json!("person")),
        ("selfie", "target=background", "/target/class_id", json!(0)),
        ("selfie", "target=person@mask", "/target/class_id", json!(1)),
        ("selfie", "target=person@pixel=200,150", "/target/cells", json!(1)),
        ("captioner", "target=word=2", "/target/word", json!(2)),
        ("captioner", "target=sneaker", "/target/text", json!("sneaker")),
        (
            "captioner",
            "target=caption",
            "/target/text",
            json!("a white sneaker left of a blue bag"),
        ),
        ("vae", "", "/target/latent", json!("sum_mu")),
        ("vae", "target=mu%5B3%5D", "/target/latent", json!("mu[3]")),
        (
            "vae",
            "target=reconstruction",
            "/target/latent",
            json!("reconstruction"),
        ),
    ] {
        let found = explain(model, query).await;
        assert_eq!(
            found[0].pointer(pointer),
            Some(&expected),
            "{model} {query}: {}",
            found[0]["target"]
        );
    }
    assert_eq!(
        explain("captioner", "target=words").await.len(),
        8,
        "a map a word"
    );
    let objects = explain("nanodet", "target=all").await.len();
    let predicted = post("/v1/models/nanodet/predict", &[], picture("nanodet"))
        .await
        .json();
    assert_eq!(
        predicted["predictions"][0]["objects"].as_array().map(Vec::len),
        Some(objects)
    );
}

#[tokio::test]
async fn a_target_that_makes_no_sense_is_refused_with_what_would() {
    for (model, target, cure) in [
        ("mobilenet_v2", "word=3", "its id or its label"),
        ("mobilenet_v2", "box=1,2,3", "box=x0,y0,x1,y1"),
        ("nanodet", "99", "there is no object 99"),
        ("nanodet", "word=1", "give its index"),
        ("selfie", "person@pixel=9999,1", "does not see pixel"),
        ("selfie", "dog", "the nearest are"),
        ("captioner", "word=99", "words 0 to 7"),
        ("captioner", "boot", "is not said"),
        ("vae", "mu%5B64%5D", "mu[0] to mu[63]"),
        ("vae", "cat", "sum_mu"),
    ] {
        let refused = ask(model, &format!("target={target}"), &[]).await;
        assert_eq!(refused.code(), "invalid_parameter", "{model} {target}");
        assert!(
            refused.detail().contains(cure),
            "{model} {target}: {}",
            refused.detail()
        );
    }
}

#[tokio::test]
async fn a_target_that_is_not_in_the_picture_has_a_code_of_its_own() {
    for (model, target, words) in [
        ("nanodet", "zebra", "no object is a \"zebra\"; the model found"),
        ("nanodet", "box=390,1,399,9", "no object overlaps with that box"),
        ("unet", "bag", "no pixel of this image is \"bag\" (it has "),
    ] {
        let refused = ask(model, &format!("target={target}"), &[]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, "nothing_detected"),
            "{model} {target}"
        );
        assert!(
            refused.detail().contains(words),
            "{model} {target}: {}",
            refused.detail()
        );
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_map_and_another_another() {
    for method in ["rise&n_masks=40", "smooth_grad&n_samples=3"] {
        let map = async |seed: u32| {
            data(&explain("captioner", &format!("method={method}&target=word=2&seed={seed}")).await[0])
        };
        assert_eq!(map(7).await, map(7).await, "{method}");
        assert_ne!(map(7).await, map(8).await, "{method}");
    }
}

#[tokio::test]
async fn integrated_gradients_add_up() {
    let found = explain("mobilenet_v2", "method=integrated_gradients&n_steps=300").await;
    let completeness = &found[0]["completeness"];
    assert!(
        completeness["error"].as_f64().is_some_and(|error| error < 0.005),
        "{completeness}"
    );
    let sum: f64 = data(&found[0]).iter().sum();
    assert!((sum - completeness["sum"].as_f64().expect("a number")).abs() < 1e-2);
}

#[tokio::test]
async fn a_budget_stops_early_and_says_how_far_it_came() {
    let found = &explain("mobilenet_v2", "method=rise&n_masks=2000&budget_ms=1").await[0];
    assert_eq!(found["stopped_early"], true);
    assert_eq!(found["passes"]["planned"], 2000);
    let done = found["passes"]["done"].as_u64().expect("a number");
    assert!((1..2000).contains(&done), "{done}");
}

#[tokio::test]
async fn progress_is_streamed_before_the_answer() {
    let answer = ask(
        "captioner",
        "method=rise&n_masks=64&target=word=2",
        &[("accept", "text/event-stream")],
    )
    .await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
    let text = String::from_utf8(answer.body).expect("UTF-8");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    // Passes of eight.
    assert_eq!(names, [vec!["progress"; 8], vec!["explanation"]].concat());
    assert!(text.contains("{\"done\":16,\"planned\":64}"), "{text}");
    let last = text
        .lines()
        .rfind(|line| line.starts_with("data: "))
        .expect("data");
    let last: Value = serde_json::from_str(&last["data: ".len()..]).expect("JSON");
    assert_eq!(last["explanations"][0]["target"]["text"], "sneaker");
}

#[tokio::test]
async fn maps_are_scaled_and_laid_on_the_grid_that_is_asked_for() {
    let shape = async |query: &str| explain("mobilenet_v2", query).await[0]["map"]["shape"].clone();
    assert_eq!(shape("resolution=input").await, json!([224, 224]));
    assert_eq!(
        shape("resolution=original&normalize=relu_minmax").await,
        json!([300, 451])
    );
    let scaled = &explain("mobilenet_v2", "normalize=relu_minmax").await[0]["map"];
    assert_eq!((&scaled["min"], &scaled["max"]), (&json!(0.0), &json!(1.0)));
    let absmax = data(&explain("mobilenet_v2", "method=input_x_gradient&normalize=absmax").await[0]);
    assert_eq!(absmax.iter().fold(0f64, |most, v| most.max(v.abs())), 1.0);
    // 451 × 300 is resized to 384 × 256 and cropped to 224: what the model did not see has no value.
    let original = explain("mobilenet_v2", "resolution=original").await;
    let values = original[0]["map"]["data"].as_array().expect("a list");
    assert!(values[0].is_null() && values[150 * 451 + 225].is_number());
}

#[tokio::test]
async fn several_layers_give_several_maps_or_one() {
    let apart = explain("mobilenet_v2", "layer=features.13,features.18").await;
    assert_eq!(apart.len(), 2);
    assert_eq!(
        (&apart[0]["map"]["shape"], &apart[1]["map"]["shape"]),
        (&json!([14, 14]), &json!([7, 7]))
    );
    let alone = explain("mobilenet_v2", "layer=features.13").await;
    let differ = data(&apart[0])
        .iter()
        .zip(data(&alone[0]))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(differ < 1e-6, "{differ}");
    let fused = explain("mobilenet_v2", "layer=features.13,features.18&fuse=true").await;
    assert_eq!(fused.len(), 1);
    assert_eq!(fused[0]["layer"], "features.13,features.18");
    assert_eq!(fused[0]["map"]["shape"], json!([224, 224]));
}

#[tokio::test]
async fn several_maps_make_one_picture_but_no_npy() {
    let grid = ask("captioner", "target=words", &[("accept", "image/png")]).await;
    let grid = decode(&grid.body, &Limits::default()).expect("a PNG");
    // Eight words in three columns of 128 pixels, two apart.
    assert_eq!((grid.width(), grid.height()), (388, 388));
    let beside = ask("vae", "render=side_by_side", &[("accept", "image/png")]).await;
    assert_eq!(
        decode(&beside.body, &Limits::default()).expect("a PNG").width(),
        28 + 2 + 28
    );
    let npy = ask("captioner", "target=words", &[("accept", "application/x-npy")]).await;
    assert_eq!(npy.code(), "not_acceptable");
    let npy = ask("captioner", "target=word=0", &[("accept", "application/x-npy")]).await;
    assert_eq!(
        npyz::NpyFile::new(npy.body.as_slice())
            .expect("an NPY file")
            .shape(),
        [8, 8]
    );
}

#[tokio::test]
async fn wrong_tuning_is_named() {
    for (query, name) in [
        ("n_masks=0", "n_masks"),
        ("p=2", "p"),
        ("window=a", "window"),
        ("smooth=aug&method=rise", "smooth"),
        ("sigma=-1", "sigma"),
        ("grid=3,3&layer=features.18&method=eigen_cam&n_steps=0", "n_steps"),
        ("normalize=most", "normalize"),
        ("seed=-1", "seed"),
    ] {
        let refused = ask("mobilenet_v2", query, &[]).await;
        assert_eq!(refused.code(), "invalid_parameter", "{query}");
        assert!(refused.detail().contains(name), "{query}: {}", refused.detail());
    }
}

#[tokio::test]
async fn a_channel_and_a_class_are_visualised() {
    let visualize = async |query: &str, headers: &[(&str, &str)]| {
        post(
            &format!("/v1/models/mobilenet_v2/visualize?{query}"),
            headers,
            Vec::new(),
        )
        .await
    };
    let channel = visualize("layer=features.4&channel=3&n_steps=12", &[])
        .await
        .json();
    let found = &channel["visualization"];
    assert!(
        found["score"].as_f64() > found["score_before"].as_f64(),
        "{channel}"
    );
    assert_eq!(found["steps"], json!({"done": 12, "planned": 12}));
    assert_eq!(
        (&found["image"]["width"], &found["layer"]),
        (&json!(224), &json!("features.4"))
    );
    let class = visualize("target=espresso&n_steps=8", &[]).await.json();
    assert_eq!(class["visualization"]["target"]["class_id"], 967);
    let png = visualize("target=espresso&n_steps=2", &[("accept", "image/png")]).await;
    assert_eq!(decode(&png.body, &Limits::default()).expect("a PNG").width(), 224);
    let again = visualize("target=espresso&n_steps=2", &[("accept", "image/png")]).await;
    assert_eq!(png.body, again.body, "the same seed gives the same picture");
    for (query, name) in [
        ("", "channel=N"),
        ("channel=1&target=espresso", "not both"),
        ("layer=features.4&channel=99", "channels 0 to 31"),
        ("target=espresso&n_steps=0", "n_steps"),
    ] {
        let refused = visualize(query, &[]).await;
        assert_eq!(refused.code(), "invalid_parameter", "{query}");
        assert!(refused.detail().contains(name), "{query}: {}", refused.detail());
    }
}
