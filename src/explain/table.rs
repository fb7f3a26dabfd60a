//! One row a method: what it needs, its parameters, what it costs, and the function that makes its maps. The listing, the
//! parser and the dispatch are this table's.

use super::known::{
    BASELINE, BUDGET_MS, CELL, CHANNELS, FUSE, GRID, INPUT, LAYER, LAYOUT, N_MASKS, N_SAMPLES, N_STEPS, P,
    SEED, SIGMA, SMOOTH, STRIDE, WINDOW,
};
use super::masks::count_windows;
use super::method::{Family, Method};
use super::options::Options;
use super::parameter::Parameter;
use super::sample::{Attributions, Sample};
use super::{attention, cam, channels, gradients, input, perturbation};
use crate::error::Result;
use crate::manifest::{Input, Manifest, TaskKind};

/// A method.
pub struct Row {
    /// Its name.
    pub method: Method,
    /// What it needs.
    pub family: Family,
    /// Whether values below zero mean something: what speaks against the target.
    pub is_signed: bool,
    /// Whether it needs a ReLU in the model.
    pub is_guided: bool,
    /// What a reader of its maps should know.
    pub caution: Option<&'static str>,
    /// Its own parameters, without those that every method has.
    pub parameters: &'static [&'static Parameter],
    cost: fn(&Costed<'_>) -> Cost,
    pub(super) run: fn(&Sample<'_>) -> Result<Attributions>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Passes through a model, in images, for one image and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Forward.
    pub forward: usize,
    /// Backward.
    pub backward: usize,
}

/// What a method's cost depends on.
#[derive(Debug)]
pub struct Costed<'a> {
    /// What is asked.
    pub options: &'a Options,
    /// Of the model's input: height, width.
    pub size: (usize, usize),
    /// Of the layer that is looked at.
    pub channels: usize,
}

impl Costed<'_> {
    fn windows(&self) -> usize {
        count_windows(self.size, self.options.window, self.options.stride)
    }
}

fn passes(forward: usize, backward: usize) -> Cost {
    Cost { forward, backward }
}

impl Row {
    /// Whether it explains models of this task; a model may still lack what it needs.
    #[must_use]
    pub fn explains(&self, task: TaskKind) -> bool {
        match (task, self.method) {
            (TaskKind::Tensor, Method::Occlusion) => true,
            (TaskKind::Tensor, _) => self.family == Family::InputGradients,
            (_, Method::DRise) => task == TaskKind::Detection,
            (_, Method::Attention) => task == TaskKind::Captioning,
            _ => true,
        }
    }

    /// Its own parameters for models of this task: values of tensors are not summed over channels.
    pub fn parameters_of(&self, task: TaskKind) -> impl Iterator<Item = &'static Parameter> {
        let of_tensors = task == TaskKind::Tensor;
        let all = self.parameters.iter().copied();
        all.filter(move |parameter| !of_tensors || parameter.name != CHANNELS.name)
            .chain(of_tensors.then_some(&INPUT))
    }

    /// The passes that it takes.
    #[must_use]
    pub fn cost(&self, costed: &Costed<'_>) -> Cost {
        (self.cost)(costed)
    }
}

/// The row of `method`.
#[must_use]
pub fn row(method: Method) -> &'static Row {
    &ROWS[method as usize]
}

/// The rows of the methods that explain models of this task.
pub fn of_task(task: TaskKind) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.explains(task))
}

/// The rows of the methods that explain a model, as far as model.toml says: only what has a fraction has gradients.
pub fn of_model(manifest: &Manifest) -> impl Iterator<Item = &'static Row> {
    let has_gradients = match &manifest.input {
        Input::Image(_) => true,
        Input::Tensors(tensors) => {
            let mut inputs = tensors.inputs.iter();
            inputs.any(|input| input.spec.dtype.is_float())
                && tensors.outputs.iter().any(|spec| spec.dtype.is_float())
        }
    };
    of_task(manifest.task).filter(move |row| has_gradients || row.family == Family::Outputs)
}

const EIGEN_CAM: &str = "ignores the target; the sign of a principal component is arbitrary, and is chosen so that the map \
                         agrees with the mean activation";
const GUIDED: &str = "fails sanity checks (Adebayo et al., arXiv 1810.03292): it shows edges of the image even where the \
                      model's weights are random";
const ATTENTION: &str = "attention says where the decoder looked, not what made it choose the word";

/// Parameters of a class activation map.
static OF_A_CAM: [&Parameter; 5] = [&LAYER, &GRID, &LAYOUT, &SMOOTH, &FUSE];

/// A class activation map that is weighed by gradients.
const fn gradient_cam(method: Method, run: fn(&Sample<'_>) -> Result<Attributions>) -> Row {
    Row {
        method,
        family: Family::LayerGradients,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &OF_A_CAM,
        cost: |_| passes(1, 1),
        run,
    }
}

/// Every method, in the order of [`Method`].
pub static ROWS: [Row; 18] = [
    gradient_cam(Method::GradCam, |sample| {
        gradients::explain(sample, cam::grad_cam)
    }),
    gradient_cam(Method::GradCamPp, |sample| {
        gradients::explain(sample, cam::grad_cam_pp)
    }),
    gradient_cam(Method::HiresCam, |sample| {
        gradients::explain(sample, cam::hires_cam)
    }),
    gradient_cam(Method::LayerCam, |sample| {
        gradients::explain(sample, cam::layer_cam)
    }),
    gradient_cam(Method::XgradCam, |sample| {
        gradients::explain(sample, cam::xgrad_cam)
    }),
    Row {
        method: Method::EigenCam,
        family: Family::Layer,
        is_signed: false,
        is_guided: false,
        caution: Some(EIGEN_CAM),
        parameters: &OF_A_CAM,
        cost: |_| passes(2, 0),
        run: channels::eigen_cam,
    },
    Row {
        method: Method::ScoreCam,
        family: Family::Layer,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &[&LAYER, &GRID, &LAYOUT, &SMOOTH, &FUSE, &BUDGET_MS],
        cost: |model| passes(2 + model.channels, 0),
        run: channels::score_cam,
    },
    Row {
        method: Method::AblationCam,
        family: Family::Layer,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &[&LAYER, &GRID, &LAYOUT, &SMOOTH, &FUSE, &BUDGET_MS],
        cost: |model| passes(3 + model.channels, 0),
        run: channels::ablation_cam,
    },
    Row {
        method: Method::Saliency,
        family: Family::InputGradients,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &[&CHANNELS],
        cost: |_| passes(1, 1),
        run: input::saliency,
    },
    Row {
        method: Method::InputXGradient,
        family: Family::InputGradients,
        is_signed: true,
        is_guided: false,
        caution: None,
        parameters: &[&CHANNELS],
        cost: |_| passes(1, 1),
        run: input::input_x_gradient,
    },
    Row {
        method: Method::SmoothGrad,
        family: Family::InputGradients,
        is_signed: true,
        is_guided: false,
        caution: None,
        parameters: &[&CHANNELS, &N_SAMPLES, &SIGMA, &SEED, &BUDGET_MS],
        cost: |model| passes(1 + model.options.n_samples, model.options.n_samples),
        run: input::smooth_grad,
    },
    Row {
        method: Method::IntegratedGradients,
        family: Family::InputGradients,
        is_signed: true,
        is_guided: false,
        caution: None,
        parameters: &[&CHANNELS, &N_STEPS, &BASELINE],
        cost: |model| passes(3 + model.options.n_steps, model.options.n_steps),
        run: input::integrated_gradients,
    },
    Row {
        method: Method::GuidedBackprop,
        family: Family::InputGradients,
        is_signed: true,
        is_guided: true,
        caution: Some(GUIDED),
        parameters: &[&CHANNELS],
        cost: |_| passes(1, 1),
        run: input::guided_backprop,
    },
    Row {
        method: Method::GuidedGradCam,
        family: Family::LayerAndInputGradients,
        is_signed: true,
        is_guided: true,
        caution: Some(GUIDED),
        parameters: &[&LAYER, &GRID, &LAYOUT, &CHANNELS],
        cost: |_| passes(2, 2),
        run: input::guided_grad_cam,
    },
    Row {
        method: Method::Occlusion,
        family: Family::Outputs,
        is_signed: true,
        is_guided: false,
        caution: None,
        parameters: &[&WINDOW, &STRIDE, &BASELINE, &BUDGET_MS],
        cost: |model| passes(1 + model.windows(), 0),
        run: perturbation::occlusion,
    },
    Row {
        method: Method::Rise,
        family: Family::Outputs,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &[&N_MASKS, &P, &CELL, &BASELINE, &SEED, &BUDGET_MS],
        cost: |model| passes(1 + model.options.n_masks, 0),
        run: perturbation::rise,
    },
    Row {
        method: Method::DRise,
        family: Family::Outputs,
        is_signed: false,
        is_guided: false,
        caution: None,
        parameters: &[&N_MASKS, &P, &CELL, &BASELINE, &SEED, &BUDGET_MS],
        cost: |model| passes(1 + model.options.n_masks, 0),
        run: perturbation::d_rise,
    },
    Row {
        method: Method::Attention,
        family: Family::Model,
        is_signed: false,
        is_guided: false,
        caution: Some(ATTENTION),
        parameters: &[],
        cost: |_| passes(1, 0),
        run: attention::attention,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_own_row() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.method as usize, index);
        }
    }

    #[test]
    fn tasks_have_the_methods_that_fit_them() {
        let methods = |task| of_task(task).map(|row| row.method).collect::<Vec<_>>();
        assert_eq!(methods(TaskKind::Classification).len(), 16);
        assert!(methods(TaskKind::Detection).contains(&Method::DRise));
        assert!(methods(TaskKind::Captioning).contains(&Method::Attention));
        let of_tensors = [
            Method::Saliency,
            Method::InputXGradient,
            Method::SmoothGrad,
            Method::IntegratedGradients,
            Method::GuidedBackprop,
            Method::Occlusion,
        ];
        assert_eq!(methods(TaskKind::Tensor), of_tensors);
    }
}
