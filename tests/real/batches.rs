//! Many pictures on the command line: records that go on where they ended, and a folder of maps.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use crate::commands::lucarne;
use crate::support::path;

/// A folder of pictures, one of which is none.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let photos = path("tests/golden/photos");
    for name in ["coffee.jpg", "astronaut.jpg"] {
        if photos.join(name).exists() {
            std::fs::copy(photos.join(name), folder.path().join(name)).expect("a copy");
        }
    }
    std::fs::copy(path("tests/golden/vae/bag.png"), folder.path().join("bag.png")).expect("a copy");
    std::fs::write(folder.path().join("text.jpg"), "no picture").expect("writable");
    folder
}

fn run(arguments: &[&dyn AsRef<OsStr>]) -> String {
    let (succeeded, said) = lucarne(arguments);
    assert!(succeeded, "{said}");
    said
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).expect("written")
}

#[test]
fn a_folder_of_pictures_becomes_records_also_in_two_goes() {
    let (pictures, out) = (pictures(), tempfile::tempdir().expect("a temporary folder"));
    let lines = out.path().join("out.jsonl");
    let predict = |output: &Path| run(&[&"predict", &"gauge", &pictures.path(), &"-o", &output]);
    let said = predict(&lines);
    assert!(
        said.contains("text.jpg: unsupported_media_type") || said.contains("text.jpg: "),
        "{said}"
    );
    assert!(said.contains("1 of"), "{said}");
    let whole = text(&lines);
    let records: Vec<Value> = whole
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(records.len() >= 3);
    for record in &records {
        let is_text = record["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("text.jpg"));
        assert_eq!(record.get("error").is_some(), is_text, "{record}");
        assert_eq!(record.get("prediction").is_none(), is_text, "{record}");
        assert!(record["prediction"].get("image_index").is_none());
    }
    // As when it was killed in its second record.
    let first = whole.find('\n').expect("a line");
    std::fs::write(&lines, &whole[..first + 20]).expect("writable");
    predict(&lines);
    assert_eq!(text(&lines), whole);
    let table = out.path().join("out.csv");
    predict(&table);
    let columns = text(&table);
    assert!(columns.starts_with("file,"), "{columns}");
    assert_eq!(columns.lines().count(), records.len() + 1);
    let (succeeded, said) = lucarne(&[
        &"predict",
        &"gauge",
        &path("tests/golden/vae/bag.png"),
        &"-o",
        &lines,
    ]);
    assert!(!succeeded && said.contains("is not of these pictures"), "{said}");
    let (succeeded, said) = lucarne(&[&"predict", &"gauge", &pictures.path()]);
    assert!(!succeeded && said.contains("--output"), "{said}");
}

/// Batches of 8, 8, 8 and 3, of which the second has one that cannot be read.
#[test]
fn records_are_the_same_to_the_last_digit_wherever_a_run_was_ended() {
    let (pictures, out) = (tempfile::tempdir(), tempfile::tempdir());
    let (pictures, out) = (pictures.expect("a folder"), out.expect("a folder"));
    let photos =
        ["coffee.jpg", "astronaut.jpg", "rocket.jpg"].map(|name| path("tests/golden/photos").join(name));
    for number in 0..27 {
        let file = pictures.path().join(format!("{number:02}.jpg"));
        match number {
            11 => std::fs::write(file, "no picture").expect("writable"),
            _ => drop(std::fs::copy(&photos[number % photos.len()], file).expect("a copy")),
        }
    }
    let lines = out.path().join("out.jsonl");
    let predict = || run(&[&"predict", &"mobilenet_v2", &pictures.path(), &"-o", &lines]);
    predict();
    let whole = text(&lines);
    assert_eq!(whole.lines().count(), 27);
    for kept in [1, 9, 20, 25] {
        let before: String = whole.split_inclusive('\n').take(kept).collect();
        std::fs::write(&lines, before).expect("writable");
        predict();
        assert!(text(&lines) == whole, "of {kept} records that stood there");
    }
}

#[test]
fn maps_of_a_folder_have_the_names_of_their_pictures() {
    let (pictures, out) = (pictures(), tempfile::tempdir().expect("a temporary folder"));
    let folder = out.path().join("maps");
    let explain = || {
        run(&[
            &"explain",
            &"gauge",
            &pictures.path(),
            &"--method",
            &"saliency",
            &"--target",
            &"pressure",
            &"-o",
            &folder,
        ])
    };
    explain();
    let bag = folder.join("bag.png");
    let drawn = std::fs::read(&bag).expect("written");
    assert!(drawn.starts_with(b"\x89PNG"));
    assert!(!folder.join("text.png").exists());
    std::fs::write(&bag, "kept").expect("writable");
    explain();
    assert_eq!(text(&bag), "kept", "what stands there is not made again");
}

#[test]
fn a_question_that_is_wrong_ends_the_command_and_leaves_no_records() {
    let (pictures, out) = (pictures(), tempfile::tempdir().expect("a temporary folder"));
    let (lines, maps) = (out.path().join("out.jsonl"), out.path().join("maps"));
    let folder = pictures.path();
    let table = out.path().join("out.csv");
    let nowhere = out.path().join("nowhere/figures.json");
    let refused: [(&[&dyn AsRef<OsStr>], &str); 5] = [
        (
            &[
                &"predict",
                &"mobilenet_v2",
                &folder,
                &"-p",
                &"nope=1",
                &"-o",
                &lines,
            ],
            "nope",
        ),
        (
            &[
                &"predict",
                &"mobilenet_v2",
                &folder,
                &"-p",
                &"uncertainty=true",
                &"-o",
                &table,
            ],
            ".jsonl",
        ),
        (
            &[
                &"explain",
                &"mobilenet_v2",
                &folder,
                &"-p",
                &"evidence=true",
                &"-o",
                &maps,
            ],
            "evidence",
        ),
        (
            &[&"explain", &"mobilenet_v2", &folder, &"-o", &folder],
            "the pictures lie in it",
        ),
        (
            &[&"evaluate", &"mobilenet_v2", &folder, &"--json", &nowhere],
            "nowhere",
        ),
    ];
    for (arguments, words) in refused {
        let (succeeded, said) = lucarne(arguments);
        assert!(!succeeded, "{words}: {said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    // The same file is good for a question that is right.
    assert_eq!(text(&lines), "");
    run(&[
        &"predict",
        &"mobilenet_v2",
        &folder,
        &"-p",
        &"top_k=1",
        &"-o",
        &lines,
    ]);
    assert!(text(&lines).lines().count() >= 3);
}
