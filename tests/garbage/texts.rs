//! Files and texts that are read without a model.

use lucarne::error::Error;
use lucarne::explain::{self, Target};
use lucarne::image::{Limits, decode};
use lucarne::manifest::{Manifest, TaskKind};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::{path, photo};

/// Good files of several formats, to be spoiled.
fn files() -> Vec<Vec<u8>> {
    let golden = |name: &str| std::fs::read(path("tests/golden").join(name)).expect("a golden file");
    vec![
        photo("chelsea.png"),
        photo("rocket.jpg"),
        golden("vae/bag.png"),
        golden("unet/scene_1.png"),
    ]
}

fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 20,
        ..Limits::default()
    }
}

/// What a decoder may say of a file.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::EmptyBody(_)
            | Error::UnsupportedMediaType(_)
            | Error::InvalidImage(_)
            | Error::ImageTooLarge(_)
    )
}

/// Signatures of the formats that are told apart by content.
const SIGNATURES: [&[u8]; 7] = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF\x40\0\0\0WEBP",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_behind_a_signature_are_a_picture_or_refused(
        signature in select(SIGNATURES.to_vec()),
        rest in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [signature, &rest].concat();
        if let Err(error) = decode(&bytes, &limits()) {
            prop_assert!(is_refusal(&error), "{error:?}");
        }
    }

    #[test]
    fn a_target_is_read_or_refused_with_what_is_expected(text in "(box=|word=|mu\\[|.*@pixel=|.*@mask)?.{0,40}") {
        if let Err(reason) = text.parse::<Target>() {
            prop_assert!(reason.contains("expected"), "{reason}");
        }
    }

    #[test]
    fn parameters_of_explanations_are_read_or_refused_by_name(
        name in select(explain::parameters().map(|parameter| parameter.name).collect::<Vec<_>>()),
        text in ".{0,30}",
    ) {
        let read = explain::read(TaskKind::Classification, [(name, text.as_str())].into_iter());
        if let Err(error) = read {
            let Error::InvalidParameter { name: named, .. } = &error else {
                panic!("{error:?}");
            };
            prop_assert_eq!(named, name);
        }
    }

    #[test]
    fn a_manifest_is_read_or_each_problem_is_a_line(
        lines in proptest::collection::vec("(task|\\[input\\]|size|mean|\\[\\[inputs\\]\\]|shape|std|labels)?( = )?.{0,20}", 0..8),
    ) {
        if let Err(problems) = Manifest::parse(&lines.join("\n")) {
            prop_assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_spoiled_file_is_a_picture_or_refused(
        file in select(files()),
        cut in any::<Index>(),
        flips in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..12),
    ) {
        let mut bytes = file;
        bytes.truncate(cut.index(bytes.len()) + 1);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = decode(&bytes, &limits()) {
            prop_assert!(is_refusal(&error), "{error:?}");
        }
    }
}
