//! Models that are loaded, replaced and unloaded while requests run.

use std::sync::Arc;

use lucarne::engine::Context;
use lucarne::engine::cores::Cores;
use lucarne::error::Error;
use lucarne::explain;
use lucarne::runtime::Native;
use lucarne::service::{Originals, Pictures};

use crate::small::{labels, of_version, over, picture, unloaded, write};
use crate::support::blocking;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_be_loaded_leaves_the_old_one_serving() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1"]);
    let server = tokio::task::block_in_place(|| over(models.path()));
    let broken = models.path().join("small/2");
    std::fs::create_dir(&broken).expect("writable");
    std::fs::write(broken.join("model.pt"), "no TorchScript").expect("writable");
    let catalog = server.service().catalog();
    let refused = catalog.replace("small", None).await;
    assert!(matches!(refused, Err(Error::InvalidModel { .. })), "{refused:?}");
    let missing = catalog.replace("small", Some("7")).await;
    assert!(matches!(missing, Err(Error::ModelNotFound(_))), "{missing:?}");
    let model = server.service().model("small").expect("the old one");
    assert_eq!(labels(&server, &model, &picture()).await, Ok(of_version("1")));
    assert_eq!(server.service().ready(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_stand_beside_each_other_and_are_unloaded_one_by_one() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1", "2"]);
    let server = tokio::task::block_in_place(|| over(models.path()));
    let (catalog, picture) = (server.service().catalog(), picture());
    assert_eq!(catalog.get("small", None).expect("the newest").version, "2");
    catalog.load("small", "1").await.expect("it can be loaded");
    assert_eq!(catalog.get("small", None).expect("still the newest").version, "2");
    let held = catalog.get("small", Some("2")).expect("it is loaded");
    catalog.unload("small", "2").expect("it is loaded");
    let serving = catalog.get("small", None).expect("the other takes over");
    assert_eq!(labels(&server, &serving, &picture).await, Ok(of_version("1")));
    assert!(matches!(
        catalog.get("small", Some("2")),
        Err(Error::ModelNotFound(_))
    ));
    assert_eq!(
        labels(&server, &held, &picture).await,
        Ok(of_version("2")),
        "a request ends on it"
    );
    catalog.unload("small", "1").expect("it is loaded");
    assert!(matches!(catalog.get("small", None), Err(Error::NotReady(_))));
    write(models.path(), "other", &["1"]);
    let added = catalog
        .add(models.path().join("other"))
        .await
        .expect("it can be loaded");
    assert_eq!((added.name.as_str(), catalog.list().len()), ("other", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_artifact_that_was_verified_is_explained_whatever_becomes_of_the_file() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "kept", &["1"]);
    write(models.path(), "overwritten", &["1"]);
    write(models.path(), "deleted", &["1"]);
    let server = tokio::task::block_in_place(|| over(models.path()));
    let file = |name: &str| models.path().join(name).join("1/model.pt");
    let other = crate::support::path("tests/golden/closed_forms/linear.pt");
    std::fs::write(file("overwritten"), std::fs::read(other).expect("a model")).expect("writable");
    std::fs::remove_file(file("deleted")).expect("it is there");
    let mut maps = Vec::new();
    for name in ["kept", "overwritten", "deleted"] {
        let service = server.service();
        let model = service.model(name).expect("it serves");
        let asked = Pictures::new(vec![picture().into()], 1).expect("one picture");
        let options = explain::defaults(explain::Method::Saliency);
        let asked = (asked.into(), Originals::Dropped);
        let done = service.explain(&model, asked, options, &Context::default()).await;
        maps.push(done.expect("a map").images[0].explanations[0].map.clone());
        let predicted = labels(&server, &model, &picture()).await;
        assert_eq!(predicted, Ok(of_version("1")), "{name}");
    }
    assert!(maps[0].max > 0.0);
    assert_eq!(maps[0], maps[1], "overwritten");
    assert_eq!(maps[0], maps[2], "deleted");
}

#[test]
fn a_digest_that_does_not_fit_is_refused() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1"]);
    let file = models.path().join("small/model.toml");
    let manifest = std::fs::read_to_string(&file).expect("a manifest");
    let digest = "0".repeat(64);
    std::fs::write(&file, format!("{manifest}[artifact]\nsha256 = \"{digest}\"\n")).expect("writable");
    let server = unloaded(models.path(), &Cores::of_this_machine(), Arc::new(Native));
    let refused = blocking(server.load_or_fail())
        .expect_err("another file")
        .to_string();
    assert!(
        refused.contains("artifact.sha256") && refused.contains(&digest),
        "{refused}"
    );
}
