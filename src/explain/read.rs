//! From names and texts to the options of an explanation. What a method does not use is refused: it would be ignored
//! without a word.

use super::evidence::RANDOM_MAPS;
use super::known::{ALL, BASELINE, BUDGET_MS, EVIDENCE, METHOD, OF_ANY_METHOD, OF_TENSORS, SEED, WEIGHTS};
use super::masks::fit_in_memory;
use super::method::Method;
use super::options::Options;
use super::parameter::{Parameter, shortened};
use super::table::{ROWS, Row, row};
use crate::error::{Error, Result};
use crate::manifest::TaskKind;

/// Every parameter of an explanation, in the order of the documents.
pub fn parameters() -> impl Iterator<Item = &'static Parameter> {
    ALL.iter().copied()
}

/// The options of `method` when nothing else is asked.
#[must_use]
pub fn defaults(method: Method) -> Options {
    let mut options = Options::default();
    ALL.iter().for_each(|parameter| parameter.reset(&mut options));
    options.method = method;
    options.random_maps = RANDOM_MAPS;
    options
}

/// The method that explains models of this task where none is asked for.
fn usual(task: TaskKind) -> Method {
    match task {
        TaskKind::Tensor => Method::Saliency,
        _ => Method::default(),
    }
}

/// The options that `pairs` of names and texts ask for of a model of this task; no name comes twice.
///
/// # Errors
/// [`Error::InvalidParameter`], which names the parameter, what was found and what is expected.
pub fn read<'a>(task: TaskKind, pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Options> {
    let mut options = defaults(usual(task));
    if let Some((_, text)) = pairs.clone().find(|(name, _)| *name == METHOD.name) {
        METHOD.read(&mut options, text)?;
    }
    let is_judged = task != TaskKind::Tensor && pairs.clone().any(|pair| pair == (EVIDENCE.name, "true"));
    let options = read_for(options.method, task, pairs, is_judged)?;
    if options.weights && !options.evidence {
        let text = "it is a part of the evidence; ask for evidence=true, too, or leave it out";
        return Err(Error::parameter(WEIGHTS.name, text));
    }
    Ok(options)
}

/// The options of `method`. `is_judged`: evidence, whose random maps have a seed, takes many passes whatever the method is.
///
/// # Errors
/// As [`read`].
pub(super) fn read_for<'a>(
    method: Method,
    task: TaskKind,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    is_judged: bool,
) -> Result<Options> {
    let (mut options, row) = (defaults(method), row(method));
    for (name, text) in pairs {
        let of_evidence = [&BUDGET_MS, &SEED].into_iter();
        let parameter = match of_evidence.filter(|_| is_judged).find(|one| one.name == name) {
            Some(parameter) => parameter,
            None => used_by(row, task, name)?,
        };
        parameter.read(&mut options, text)?;
        options.baseline_is_given |= name == BASELINE.name;
    }
    fit_in_memory(&options)?;
    Ok(options)
}

/// The parameter `name`, if the method of `row` uses it for models of this task.
pub(super) fn used_by(row: &Row, task: TaskKind, name: &str) -> Result<&'static Parameter> {
    let of_any: &[&'static Parameter] = match task {
        TaskKind::Tensor => &OF_TENSORS,
        _ => &OF_ANY_METHOD,
    };
    let mut all = row.parameters_of(task).chain(of_any.iter().copied());
    let own = all.find(|parameter| parameter.name == name);
    if let Some(parameter) = own {
        return Ok(parameter);
    }
    let method = row.method.name();
    if !ALL.iter().any(|parameter| parameter.name == name) {
        let all: Vec<&str> = ALL.iter().map(|parameter| parameter.name).collect();
        let text = format!(
            "unknown field `{}`, expected one of `{}`",
            shortened(name),
            all.join("`, `")
        );
        return Err(Error::parameter(shortened(name), text));
    }
    let users = ROWS
        .iter()
        .filter(|row| row.explains(task) && row.parameters_of(task).any(|parameter| parameter.name == name));
    let users: Vec<&str> = users.map(|row| row.method.name()).collect();
    if users.is_empty() {
        let text = format!("no method uses it for models of the task {task}; leave it out");
        return Err(Error::parameter(name, text));
    }
    let text = format!(
        "the method {method} does not use it; leave it out, or choose one of {}",
        users.join(", ")
    );
    Err(Error::parameter(name, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Smooth, Target};

    fn of(pairs: &[(&str, &str)]) -> Result<Options> {
        read(TaskKind::Classification, pairs.iter().copied())
    }

    #[test]
    fn what_is_asked_is_read_and_the_rest_is_the_default() {
        let options = of(&[
            ("layer", "a.b, c"),
            ("smooth", "eigen"),
            ("target", "285"),
            ("alpha", "0.25"),
        ]);
        let options = options.expect("they are right");
        assert_eq!(options.method, Method::GradCam);
        assert_eq!(options.layers, ["a.b", "c"]);
        assert_eq!((options.smooth, options.view.alpha), (Some(Smooth::Eigen), 0.25));
        assert_eq!(options.target, "285".parse::<Target>().expect("a class"));
        let rise = of(&[("method", "rise")]).expect("a method");
        assert_eq!(
            (rise.n_masks, rise.p, rise.cell, rise.view.alpha),
            (500, 0.5, 8, 0.5)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, name, word) in [
            (&[("method", "magic")][..], "method", "grad_cam"),
            (&[("method", "rise"), ("p", "0")], "p", "more than 0, at most 1"),
            (&[("method", "rise"), ("n_masks", "0")], "n_masks", "1 to 20000"),
            (
                &[("method", "rise"), ("n_masks", "20000"), ("cell", "64")],
                "n_masks",
                "with cell=64",
            ),
            (
                &[("method", "smooth_grad"), ("sigma", "NaN")],
                "sigma",
                "a number from 0 to 1000000",
            ),
            (
                &[("method", "rise"), ("baseline", "1e308")],
                "baseline",
                "a number from -1000000 to 1000000",
            ),
            (&[("method", "rise"), ("smooth", "aug")], "smooth", "grad_cam_pp"),
            (&[("n_steps", "3")], "n_steps", "integrated_gradients"),
            (&[("lair", "3")], "lair", "`layer`"),
            (&[("overlay", "yes")], "overlay", "true or false"),
            (&[("target", "box=1")], "target", "box=x0,y0,x1,y1"),
            (&[("budget_ms", "0"), ("method", "rise")], "budget_ms", "1 to"),
            (&[("weights", "true")], "weights", "evidence=true"),
        ] {
            let text = of(pairs).expect_err(name).to_string();
            assert!(
                text.contains(&format!("`{name}`")) && text.contains(word),
                "{text}"
            );
        }
    }

    #[test]
    fn models_of_tensors_have_inputs_and_nothing_to_draw() {
        let of = |pairs: &[(&str, &str)]| read(TaskKind::Tensor, pairs.iter().copied());
        let options = of(&[("input", "x"), ("target", "logits[3]")]).expect("they are right");
        assert_eq!(
            (options.method, options.input.as_deref()),
            (Method::Saliency, Some("x"))
        );
        let occlusion = [("method", "occlusion"), ("baseline", "0")];
        assert!(of(&occlusion).expect("it is right").baseline_is_given);
        assert!(!of(&occlusion[..1]).expect("it is right").baseline_is_given);
        for name in ["overlay", "colormap", "channels", "layer"] {
            let refused = of(&[(name, "true")]).expect_err(name).to_string();
            assert!(
                refused.contains("no method uses it for models of the task tensor"),
                "{refused}"
            );
        }
        let refused = read(TaskKind::Vae, [("input", "x")].into_iter()).expect_err("pictures");
        assert!(
            refused
                .to_string()
                .contains("no method uses it for models of the task vae")
        );
    }

    #[test]
    fn each_method_takes_its_own_parameters_with_their_defaults() {
        for row in &ROWS {
            for parameter in row.parameters {
                let used = used_by(row, TaskKind::Classification, parameter.name);
                assert_eq!(used.map(|p| p.name), Ok(parameter.name));
            }
        }
    }
}
