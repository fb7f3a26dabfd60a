//! Every pass holds its cores, costs what the listing says, and is not made for a client that left.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use lucarne::app::Server;
use lucarne::engine::Context;
use lucarne::engine::cores::{Class, Cores};
use lucarne::error::Error;
use lucarne::explain::visualize::{self, Ascent};
use lucarne::explain::{Costed, Method, Options, ROWS, Row, Target, read};
use lucarne::manifest::TaskKind;
use lucarne::service::{Originals, Pictures};

use crate::counting::{Counting, Tally};
use crate::small::{server, unloaded, write};
use crate::support::{path, photo};

mod dial;

struct Counted {
    server: Server,
    tally: Arc<Tally>,
}

fn cores() -> Arc<Cores> {
    Cores::new(NonZeroUsize::new(2).expect("2 is not zero"))
}

/// The repository's models behind counting formats; tests take turns with them.
static COUNTED: LazyLock<tokio::sync::Mutex<Counted>> = LazyLock::new(|| {
    let cores = cores();
    let tally = Tally::new(&cores);
    let server = server(&path("models"), &cores, Arc::new(Counting(Arc::clone(&tally))));
    tokio::sync::Mutex::new(Counted { server, tally })
});

/// What is asked of a method, so that it ends soon; a layer of few channels where it looks at one.
fn asked(row: &Row) -> BTreeMap<&'static str, &'static str> {
    let mut pairs = BTreeMap::from([("method", row.method.name())]);
    for parameter in row.parameters {
        match parameter.name {
            "n_steps" => pairs.insert("n_steps", "6"),
            "n_samples" => pairs.insert("n_samples", "5"),
            "n_masks" => pairs.insert("n_masks", "9"),
            "window" => pairs.insert("window", "100"),
            "stride" => pairs.insert("stride", "80"),
            "layer" => pairs.insert("layer", "features.1"),
            _ => None,
        };
    }
    if row.method == Method::Attention {
        pairs.insert("target", "word=0");
    }
    pairs
}

/// The model that a method is tried on, the file of a picture for it, its input's size, and channels of its layer.
fn subject(method: Method) -> (&'static str, Vec<u8>, (usize, usize), usize) {
    let scene = || std::fs::read(path("tests/golden/captioner/scene_0.png")).expect("a golden picture");
    match method {
        Method::DRise => ("nanodet", photo("astronaut.jpg"), (320, 320), 0),
        Method::Attention => ("captioner", scene(), (64, 64), 0),
        _ => ("mobilenet_v2", photo("chelsea.png"), (224, 224), 16),
    }
}

fn options(row: &Row) -> Options {
    read(
        TaskKind::Classification,
        asked(row).iter().map(|(name, value)| (*name, *value)),
    )
    .expect("they are right")
}

async fn explain(
    server: &Server,
    method: Method,
    options: Options,
    context: &Context,
) -> lucarne::error::Result<usize> {
    let (name, file, ..) = subject(method);
    maps(server, (name, file), options, context).await
}

/// Explains the picture in `file` by the model `name`, and says how many maps that makes.
async fn maps(
    server: &Server,
    (name, file): (&str, Vec<u8>),
    options: Options,
    context: &Context,
) -> lucarne::error::Result<usize> {
    let service = server.service();
    let model = service.model(name).expect("it serves");
    let pictures = Pictures::new(vec![file.into()], 1).expect("one picture");
    let done = service
        .explain(&model, (pictures.into(), Originals::Dropped), options, context)
        .await?;
    Ok(done.images[0].explanations.len())
}

/// Has the model's layers walked, so that only the method's own passes are counted.
async fn describe(counted: &Counted, name: &str) {
    let service = counted.server.service();
    let model = service.model(name).expect("it serves");
    service
        .describe(&model, &Context::default())
        .await
        .expect("its layers");
    counted.tally.take();
}

#[tokio::test]
async fn each_method_makes_the_passes_that_it_says_each_with_its_cores() {
    let counted = COUNTED.lock().await;
    for row in &ROWS {
        let (name, _, size, channels) = subject(row.method);
        describe(&counted, name).await;
        let options = options(row);
        let costed = Costed {
            options: &options,
            size,
            channels,
        };
        let expected = row.cost(&costed);
        let maps = explain(&counted.server, row.method, options.clone(), &Context::default()).await;
        assert_eq!(maps, Ok(1), "{:?}", row.method);
        assert_eq!(counted.tally.take(), expected, "{:?}", row.method);
    }
}

/// More passes than there could be before a request is given up.
const MANY: [(&str, &str); 4] = [
    ("n_steps", "1000"),
    ("n_samples", "1000"),
    ("n_masks", "5000"),
    ("stride", "4"),
];

#[tokio::test]
async fn each_long_explanation_ends_soon_after_its_client_left() {
    const LEFT_AFTER: usize = 20;
    let counted = COUNTED.lock().await;
    let long = [
        Method::ScoreCam,
        Method::AblationCam,
        Method::SmoothGrad,
        Method::IntegratedGradients,
        Method::Occlusion,
        Method::Rise,
        Method::DRise,
    ];
    for row in ROWS.iter().filter(|row| long.contains(&row.method)) {
        describe(&counted, subject(row.method).0).await;
        let mut pairs = asked(row);
        pairs.remove("layer");
        for (name, value) in MANY {
            if row.parameters.iter().any(|parameter| parameter.name == name) {
                pairs.insert(name, value);
            }
        }
        let options = read(
            TaskKind::Classification,
            pairs.iter().map(|(name, value)| (*name, *value)),
        )
        .expect("they are right");
        let context = Context::default();
        counted.tally.give_up_after(LEFT_AFTER, &context.cancellation);
        let ended = explain(&counted.server, row.method, options, &context).await;
        assert!(
            matches!(ended, Err(Error::Cancelled(_))),
            "{:?}: {ended:?}",
            row.method
        );
        let made = counted.tally.take().forward;
        // One batch may be under way, and the passes before the first batch are few.
        assert!(made <= LEFT_AFTER + 8, "{:?} made {made} passes", row.method);
    }
    counted
        .tally
        .give_up_after(usize::MAX, &Context::default().cancellation);
}

#[tokio::test]
async fn a_deadline_that_passes_ends_an_explanation_between_two_passes() {
    let counted = COUNTED.lock().await;
    describe(&counted, "mobilenet_v2").await;
    let pairs = [("method", "integrated_gradients"), ("n_steps", "1000")];
    let context = Context::until(Some(Instant::now() + Duration::from_millis(200)));
    let options = read(TaskKind::Classification, pairs.into_iter()).expect("they are right");
    let ended = explain(&counted.server, Method::IntegratedGradients, options, &context).await;
    assert!(matches!(ended, Err(Error::DeadlineExceeded(_))), "{ended:?}");
    assert!(counted.tally.take().forward < 1000);
}

#[tokio::test]
async fn a_visualisation_and_a_prediction_hold_their_cores() {
    let counted = COUNTED.lock().await;
    describe(&counted, "mobilenet_v2").await;
    let service = counted.server.service();
    let model = service.model("mobilenet_v2").expect("it serves");
    let ascent = Ascent {
        n_steps: 3,
        learning_rate: 1.0,
        jitter: 4,
        tv: 1.0,
        l1: 0.3,
        seed: 0,
    };
    let options = visualize::Options::new((None, Some(3)), Target::Top, ascent, None).expect("a channel");
    let found = service.visualize(&model, options, &Context::default()).await;
    assert_eq!(found.expect("a picture").0.steps.done, 3);
    let cost = counted.tally.take();
    assert_eq!(
        (cost.forward, cost.backward),
        (5, 3),
        "a score before and behind three steps"
    );
}

#[test]
fn loading_computes_only_under_permits() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1"]);
    let cores = cores();
    let tally = Tally::new(&cores);
    let server = unloaded(models.path(), &cores, Arc::new(Counting(Arc::clone(&tally))));
    let all = cores.acquire(Class::Predict, cores.count());
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| crate::support::blocking(server.load_or_fail()));
        // Compilation is the first to compute, and waits for the cores.
        let patience = Instant::now() + Duration::from_secs(30);
        while cores.waiting() == 0 {
            assert!(
                Instant::now() < patience && !loading.is_finished(),
                "it computes without a permit"
            );
            std::thread::yield_now();
        }
        assert_eq!(tally.take().forward, 0);
        drop(all);
        loading.join().expect("no panic").expect("it is right");
    });
    let largest = 16;
    assert!(
        tally.take().forward > largest,
        "the smallest and the largest batch warm it up"
    );
    assert_eq!(cores.in_use(), 0);
}

#[test]
fn the_layer_walk_waits_for_its_cores() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1"]);
    let cores = cores();
    let tally = Tally::new(&cores);
    let server = server(models.path(), &cores, Arc::new(Counting(Arc::clone(&tally))));
    tally.take();
    let all = cores.acquire(Class::Predict, cores.count());
    let service = server.service();
    let model = service.model("small").expect("it serves");
    std::thread::scope(|scope| {
        let walking = scope.spawn(|| crate::support::blocking(service.describe(&model, &Context::default())));
        let patience = Instant::now() + Duration::from_secs(30);
        while cores.waiting() == 0 {
            assert!(
                Instant::now() < patience && !walking.is_finished(),
                "it computes without a permit"
            );
            std::thread::yield_now();
        }
        drop(all);
        let found = walking.join().expect("no panic").expect("its layers");
        assert!(!found.layers.with_map.is_empty());
    });
    assert_eq!(tally.take().forward, 1, "one pass sees every layer");
}
