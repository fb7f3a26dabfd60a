//! What is asked of several methods at once.

use super::evidence::RANDOM_MAPS_OF_A_COMPARISON;
use super::known::{
    ALPHA, BUDGET_MS, COLORMAP, EVIDENCE, METHOD, NORMALIZE, OVERLAY, RENDER, RESOLUTION, SEED,
};
use super::method::Method;
use super::options::Options;
use super::parameter::{Parameter, shortened};
use super::read::{parameters, read_for, used_by};
use super::table::row;
use crate::error::{Error, Result};
use crate::manifest::TaskKind;

/// Methods of one comparison at most.
pub const MOST_METHODS: usize = 8;

/// What a comparison has no place for.
static OF_ONE_MAP: [&Parameter; 6] = [&METHOD, &EVIDENCE, &OVERLAY, &RENDER, &COLORMAP, &ALPHA];

/// How a map is answered, where it is.
static OF_MAPS: [&Parameter; 2] = [&NORMALIZE, &RESOLUTION];

fn is_among(all: &[&Parameter], name: &str) -> bool {
    all.iter().any(|parameter| parameter.name == name)
}

/// Every parameter that the methods of a comparison may have, in the order of the documents.
pub fn parameters_of_several() -> impl Iterator<Item = &'static Parameter> {
    parameters().filter(|parameter| !is_among(&OF_ONE_MAP, parameter.name))
}

/// The options of each method of the list `methods`, which has commas between. `pairs` are names and texts; each goes to the methods
/// that use it. `has_maps`: whether the answer has them.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the parameter, what was found and what is expected.
pub fn read_several<'a>(
    task: TaskKind,
    (methods, has_maps): (&str, bool),
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Options>> {
    let pairs: Vec<(&str, &str)> = pairs.collect();
    let methods = listed(methods)?;
    let of_evidence = |name: &str| is_among(&[&BUDGET_MS, &SEED], name);
    for &(name, _) in &pairs {
        if is_among(&OF_ONE_MAP, name) {
            let text = "a comparison takes `methods`, measures evidence and draws nothing; leave it out";
            return Err(Error::parameter(name, text));
        }
        if is_among(&OF_MAPS, name) && !has_maps {
            let text = "it is how a map is answered; ask for the maps by maps=true, or leave it out";
            return Err(Error::parameter(name, text));
        }
        let mut used = methods.iter().map(|method| used_by(row(*method), task, name));
        if !of_evidence(name) && used.clone().all(|one| one.is_err()) {
            used.next().transpose()?;
        }
    }
    let of_method = |method: &Method| {
        let used = |(name, _): &(&str, &str)| of_evidence(name) || used_by(row(*method), task, name).is_ok();
        let mut options = read_for(*method, task, pairs.iter().copied().filter(used), true)?;
        options.evidence = true;
        options.random_maps = RANDOM_MAPS_OF_A_COMPARISON;
        if options.layers.len() > 1 && !options.fuse {
            let text = "a comparison is of one map a method; name one layer, or fuse=true";
            return Err(Error::parameter("layer", text));
        }
        Ok(options)
    };
    methods.iter().map(of_method).collect()
}

/// The methods of a list.
fn listed(text: &str) -> Result<Vec<Method>> {
    let refused = |why: String| Error::parameter("methods", why);
    let mut methods = Vec::new();
    for name in text.split(',').map(str::trim) {
        let known = Method::NAMES.iter().find(|(_, known)| *known == name);
        let Some((method, _)) = known else {
            let all: Vec<&str> = Method::NAMES.iter().map(|(_, name)| *name).collect();
            let (found, all) = (shortened(name), all.join("`, `"));
            return Err(refused(format!(
                "found `{found}`, expected some of `{all}`, with commas between"
            )));
        };
        if methods.contains(method) {
            return Err(refused(format!("found `{name}` more than once")));
        }
        methods.push(*method);
    }
    if (2..=MOST_METHODS).contains(&methods.len()) {
        return Ok(methods);
    }
    let found = methods.len();
    Err(refused(format!(
        "found {found}, expected 2 to {MOST_METHODS} methods"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(methods: &str, pairs: &[(&str, &str)]) -> Result<Vec<Options>> {
        read_several(TaskKind::Classification, (methods, false), pairs.iter().copied())
    }

    #[test]
    fn each_method_gets_what_it_uses() {
        let found = of(
            "grad_cam, occlusion",
            &[("layer", "a"), ("window", "3"), ("target", "2"), ("seed", "7")],
        );
        let [cam, occlusion] = &found.expect("they are right")[..] else {
            panic!("two methods");
        };
        assert_eq!((&cam.layers[..], cam.window), (&["a".to_owned()][..], None));
        assert!(occlusion.layers.is_empty() && occlusion.window.is_some());
        for options in [cam, occlusion] {
            assert!(options.evidence && options.seed == 7);
            assert_eq!(options.target, "2".parse().expect("a class"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (methods, pairs, name) in [
            ("grad_cam", &[][..], "methods"),
            ("grad_cam,magic", &[], "methods"),
            ("grad_cam,grad_cam", &[], "methods"),
            ("", &[], "methods"),
            ("grad_cam,hires_cam", &[("window", "3")], "window"),
            ("grad_cam,hires_cam", &[("lair", "3")], "lair"),
            ("grad_cam,hires_cam", &[("layer", "a,b")], "layer"),
            ("grad_cam,hires_cam", &[("overlay", "true")], "overlay"),
            ("grad_cam,hires_cam", &[("resolution", "input")], "resolution"),
            ("grad_cam,rise", &[("n_masks", "0")], "n_masks"),
        ] {
            let text = of(methods, pairs).expect_err(name).to_string();
            assert!(text.contains(&format!("`{name}`")), "{text}");
        }
        let many: Vec<&str> = Method::NAMES.iter().map(|(_, name)| *name).collect();
        assert!(of(&many.join(","), &[]).is_err(), "all of them");
    }
}
