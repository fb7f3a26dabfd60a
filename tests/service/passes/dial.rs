//! What is asked beyond one map of one target: several targets, smoothed maps, evidence, several methods. The model reads a
//! dial, and its passes take little.

use lucarne::engine::Context;
use lucarne::explain::{
    Cost, Costed, Method, Options, ROWS, STEPS_OF_EVIDENCE, passes, read, read_several, row,
};
use lucarne::manifest::TaskKind;
use lucarne::service::Pictures;

use super::{COUNTED, Counted, asked, describe, maps};
use crate::support::path;

/// A picture for the model `gauge`, which answers two numbers, [`PRESSURE`] among them.
fn dial() -> Vec<u8> {
    std::fs::read(path("tests/golden/gauge/gauge_0.png")).expect("a golden picture")
}

const PRESSURE: (&str, &str) = ("target", "pressure");

/// Of `gauge`: its input's size, and the channels of the layer that is looked at where none is asked for.
const DIAL: (usize, usize) = (96, 96);
const DIAL_CHANNELS: usize = 64;

/// Of which evidence makes a map again.
const NOISY_COPIES: usize = 3;

/// What is asked of `gauge`.
fn of_dial(pairs: &[(&str, &str)]) -> Options {
    read(TaskKind::Regression, pairs.iter().copied()).expect("they are right")
}

/// Explains the dial, each pass with its cores; how many maps that makes, and the passes.
async fn explain_dial(counted: &Counted, options: &Options) -> (usize, Cost) {
    let (asked, context) = (("gauge", dial()), Context::default());
    let maps = maps(&counted.server, asked, options.clone(), &context).await;
    (
        maps.unwrap_or_else(|error| panic!("{:?}: {error}", options.method)),
        counted.tally.take(),
    )
}

fn sum(cost: Cost) -> usize {
    cost.forward + cost.backward
}

#[tokio::test]
async fn several_targets_share_each_pass() {
    let counted = COUNTED.lock().await;
    describe(&counted, "gauge").await;
    for row in ROWS.iter().filter(|row| row.explains(TaskKind::Regression)) {
        let mut pairs = asked(row);
        pairs.remove("layer");
        pairs.insert("target", "all");
        let pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        let options = of_dial(&pairs);
        let costed = Costed {
            options: &options,
            size: DIAL,
            channels: DIAL_CHANNELS,
        };
        let (maps, made) = explain_dial(&counted, &options).await;
        // It looks at no target.
        let expected = if row.method == Method::EigenCam { 1 } else { 2 };
        assert_eq!((maps, made), (expected, row.cost(&costed)), "{:?}", row.method);
    }
}

#[tokio::test]
async fn each_variant_of_a_smoothed_map_costs_as_much_as_a_picture() {
    const VARIANTS: usize = 6;
    let counted = COUNTED.lock().await;
    describe(&counted, "gauge").await;
    // Some find the target by a pass of its own, once for all variants.
    for (method, finding) in [
        (Method::GradCam, 0),
        (Method::LayerCam, 0),
        (Method::EigenCam, 1),
        (Method::ScoreCam, 1),
    ] {
        let options = of_dial(&[("method", method.name()), ("smooth", "aug"), PRESSURE]);
        let costed = Costed {
            options: &options,
            size: DIAL,
            channels: DIAL_CHANNELS,
        };
        let one = row(method).cost(&costed);
        let expected = Cost {
            forward: finding + VARIANTS * (one.forward - finding),
            backward: VARIANTS * one.backward,
        };
        assert_eq!(
            explain_dial(&counted, &options).await,
            (1, expected),
            "{method:?}"
        );
    }
}

#[tokio::test]
async fn evidence_takes_the_passes_that_a_request_is_held_to() {
    let counted = COUNTED.lock().await;
    describe(&counted, "gauge").await;
    // The target is known where a map is made again: a method that finds it by a pass of its own makes one less each time.
    for (pairs, finding) in [
        // These are made again, of noisy pictures.
        (&[("method", "grad_cam")][..], 0),
        (&[("method", "eigen_cam")], 1),
        (&[("method", "saliency")], 0),
        (&[("method", "guided_grad_cam")], 0),
        (&[("method", "integrated_gradients"), ("n_steps", "6")], 1),
        // These are not: they take many passes.
        (&[("method", "smooth_grad"), ("n_samples", "5")], 0),
        (&[("method", "occlusion"), ("window", "40"), ("stride", "30")], 0),
        (&[("method", "rise"), ("n_masks", "9")], 0),
    ] {
        let options = of_dial(&[&[PRESSURE, ("evidence", "true")][..], pairs].concat());
        let (_, made) = explain_dial(&counted, &options).await;
        let held_to = passes(&options, DIAL, 1);
        assert_eq!(sum(made), held_to - NOISY_COPIES * finding, "{pairs:?}");
    }
}

/// Nothing else here may ask for `weights` of `gauge`: they are measured once.
#[tokio::test]
async fn random_weights_take_the_passes_that_a_request_is_held_to_once_a_method_and_layer() {
    let counted = COUNTED.lock().await;
    describe(&counted, "gauge").await;
    // As above; of evidence, `rise` is not made again.
    for (pairs, finding, again) in [
        (&[("method", "grad_cam")][..], 0, NOISY_COPIES),
        (&[("method", "saliency")], 0, NOISY_COPIES),
        (&[("method", "eigen_cam")], 1, NOISY_COPIES),
        (&[("method", "rise"), ("n_masks", "9")], 1, 0),
    ] {
        let whole = [&[PRESSURE, ("evidence", "true"), ("weights", "true")][..], pairs].concat();
        let options = of_dial(&whole);
        let once = passes(&of_dial(&[&[PRESSURE][..], pairs].concat()), DIAL, 1);
        let without = Options {
            weights: false,
            ..options.clone()
        };
        let (said, without) = (passes(&options, DIAL, 1), passes(&without, DIAL, 1));
        let times = (said - without) / once;
        assert!(times >= 6, "{pairs:?}: {times}");
        let (_, first) = explain_dial(&counted, &options).await;
        assert_eq!(sum(first), said - (times + again) * finding, "{pairs:?}: first");
        let (_, second) = explain_dial(&counted, &options).await;
        assert_eq!(sum(second), without - again * finding, "{pairs:?}: it is known");
    }
}

#[tokio::test]
async fn a_comparison_takes_no_more_passes_than_it_tells() {
    let counted = COUNTED.lock().await;
    describe(&counted, "gauge").await;
    let pairs = [PRESSURE, ("n_masks", "9")];
    let methods = ("grad_cam,hires_cam,rise", false);
    let options = read_several(TaskKind::Regression, methods, pairs.into_iter()).expect("they are right");
    // The curves of random maps are of a grid, and the first two methods have the same.
    let shared = 2 * (STEPS_OF_EVIDENCE + 1) * options[0].random_maps;
    let service = counted.server.service();
    let model = service.model("gauge").expect("it serves");
    let pictures = Pictures::new(vec![dial().into()], 1).expect("one picture");
    let done = service
        .compare_methods(&model, pictures.into(), options, &Context::default())
        .await
        .expect("each pass holds its cores");
    let (made, told) = (sum(counted.tally.take()), done.passes.iter().sum::<usize>());
    assert_eq!(done.made.len(), 3);
    assert_eq!(made, told - shared);
    assert!(made <= told, "{made} of {told}");
}
