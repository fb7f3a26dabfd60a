//! Every parameter of an explanation, once.

use std::time::Duration;

use super::colormap::Colormap;
use super::kinds::{choice, count, flag, given, number, parsed, text};
use super::layers::paths;
use super::map::{Normalize, Resolution};
use super::method::Method;
use super::options::{Channels, Render, Smooth};
use super::parameter::{Kind, Parameter};
use crate::manifest::Layout;

const METHOD_NAMES: [&str; Method::NAMES.len()] = {
    let mut names = [""; Method::NAMES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Method::NAMES[index].1;
        index += 1;
    }
    names
};

pub(super) static METHOD: Parameter = choice(
    "method",
    "How the map is made.",
    (
        "How a map is made. A = the layer's activation `[C, h, w]`, g = ∂S/∂A, S = the target's score, x = the input.",
        &METHOD_NAMES,
        true,
    ),
    |options, index| options.method = Method::NAMES[index].0,
);

pub(super) static LAYER: Parameter = text(
    "layer",
    "The layer whose activation is looked at, or several with commas between; see `/layers`. Default: the model's\n\
     own, else the last with a map.",
    Some("features.18"),
    |options, text| {
        options.layers = paths(text)?;
        Ok(())
    },
);

pub(super) static FUSE: Parameter = flag(
    "fuse",
    "Of several layers, one map: each from 0 to 1 at the input's size, and their mean.",
    |options, fuse| options.fuse = fuse,
);

pub(super) static TARGET: Parameter = text(
    "target",
    "What is explained. Default: the model's own best answer.\n\
     Classification: a class id or a label; `id:2` or `label:2` where a number could be both. Segmentation: a class (over its own mask), `CLASS@pixel=x,y`, `all`.\n\
     Detection: an object's index, a label, `box=x0,y0,x1,y1`, `all`. Captioning: `words`, `word=3`, `caption`.\n\
     VAE: `mu[3]`, `sum_mu`, `reconstruction`. Embedding: `similarity` (to the reference), a dimension's index.\n\
     Regression: a number's name or index, `all`.\n\
     Image to image: `pixel=x,y`, `box=x0,y0,x1,y1`, or a channel there, `red@pixel=x,y`. Tensor: `logits[3]`, an element of an output, in a row.",
    Some("Egyptian cat"),
    |options, text| parsed(&mut options.target, text),
);

pub(super) static INPUT: Parameter = text(
    "input",
    "Of a model of tensors: the input that is explained. Default: the only one of floats.",
    None,
    |options, text| {
        options.input = Some(text.trim().to_owned());
        Ok(())
    },
);

pub(super) static GRID: Parameter = text(
    "grid",
    "`[rows, columns]` of a layer that gives tokens `[B, N, D]`, where the model does not show it: `14,14`. The last \
     rows · columns tokens are the cells. Default: model.toml's, else found by itself.",
    None,
    |options, text| given(&mut options.hints.grid, text),
);

pub(super) static LAYOUT: Parameter = choice(
    "layout",
    "The axes of a layer that gives four: `nchw` for `[B, C, h, w]`, `nhwc` for `[B, h, w, C]`. Default: model.toml's, \
     else found by itself.",
    ("The axes of a layer that gives four.", &["nchw", "nhwc"], false),
    |options, index| options.hints.layout = Some([Layout::Nchw, Layout::Nhwc][index]),
);

pub(super) static SMOOTH: Parameter = choice(
    "smooth",
    "How a CAM is made less noisy.",
    (
        "How CAMs are made less noisy, as pytorch-grad-cam does it.",
        &["aug", "eigen"],
        false,
    ),
    |options, index| options.smooth = Some([Smooth::Aug, Smooth::Eigen][index]),
);

pub(super) static CHANNELS: Parameter = choice(
    "channels",
    "How the channels of an input attribution become a map. Default: `max_abs` for `saliency`, else `sum`.",
    (
        "How `[channels, height, width]` becomes a map.",
        &["sum", "max_abs", "keep"],
        false,
    ),
    |options, index| options.channels = Some([Channels::Sum, Channels::MaxAbs, Channels::Keep][index]),
);

/// More than any normalised pixel is, and few enough that sums and squares of an f32 stay finite.
const MOST_UNITS: f64 = 1e6;

pub(super) static BASELINE: Parameter = number(
    "baseline",
    "What covers or replaces the picture, in the model's normalised units; 0 is the mean colour. Of a tensor in its own units, and \
     needed where these are whole numbers.",
    (-MOST_UNITS, MOST_UNITS),
    Some(0.0),
    |options, value| options.baseline = value,
);

pub(super) static N_STEPS: Parameter = count(
    "n_steps",
    "`integrated_gradients`: points on the way from the baseline.",
    1000,
    50,
    |options, value| options.n_steps = value as usize,
);

pub(super) static N_SAMPLES: Parameter = count(
    "n_samples",
    "`smooth_grad`: noisy copies.",
    1000,
    25,
    |options, value| options.n_samples = value as usize,
);

pub(super) static SIGMA: Parameter = number(
    "sigma",
    "`smooth_grad`: the noise's standard deviation, in the model's normalised units. Default: 0.15 of the range of\n\
     the input.",
    (0.0, MOST_UNITS),
    None,
    |options, value| options.sigma = Some(value),
);

pub(super) static WINDOW: Parameter = text(
    "window",
    "`occlusion`: the window's side in pixels of the input, or height,width. Default: a seventh of the shorter side. \
     Of a tensor over its last two sizes.",
    Some("32"),
    |options, text| given(&mut options.window, text),
);

pub(super) static STRIDE: Parameter = text(
    "stride",
    "`occlusion`: from one window to the next. Default: half a window.",
    Some("16"),
    |options, text| given(&mut options.stride, text),
);

pub(super) static N_MASKS: Parameter = count(
    "n_masks",
    "`rise`, `d_rise`: how many masks.",
    20_000,
    500,
    |options, value| options.n_masks = value as usize,
);

pub(super) static P: Parameter = Parameter {
    name: "p",
    description: "`rise`, `d_rise`: the part of a mask's cells that is kept.",
    example: None,
    kind: Kind::Number {
        least: 0.0,
        is_open: true,
        most: 1.0,
        default: Some(0.5),
        set: |options, value| options.p = value,
    },
};

pub(super) static CELL: Parameter = count(
    "cell",
    "`rise`, `d_rise`: a mask's cells on a side.",
    64,
    8,
    |options, value| options.cell = value as usize,
);

pub(super) static SEED: Parameter = Parameter {
    name: "seed",
    description: "The seed of everything random; the same one gives the same map.",
    example: None,
    kind: Kind::Integer {
        least: 0,
        most: u32::MAX as u64,
        default: Some(0),
        is_wide: true,
        set: |options, value| options.seed = value as u32,
    },
};

pub(super) static BUDGET_MS: Parameter = Parameter {
    name: "budget_ms",
    description: "Methods of many passes stop after this long, and say how far they came.",
    example: None,
    kind: Kind::Integer {
        least: 1,
        most: u64::MAX,
        default: None,
        is_wide: true,
        set: |options, value| options.budget = Some(Duration::from_millis(value)),
    },
};

pub(super) static EVIDENCE: Parameter = flag(
    "evidence",
    "Whether it is measured how far each map can be trusted: deletion and insertion beside random maps, and how stable it is. \
     About 200 passes a map more.",
    |options, evidence| options.evidence = evidence,
);

pub(super) static WEIGHTS: Parameter = flag(
    "weights",
    "With the evidence: whether it is measured how the map depends on what the model has learned, by making it again with random \
     weights. Once for each method and layer of a model, three times the method's own passes to sixteen times.",
    |options, weights| options.weights = weights,
);

pub(super) static NORMALIZE: Parameter = choice(
    "normalize",
    "How the map is scaled.",
    (
        "How a map is scaled before it is answered.",
        &["none", "relu_minmax", "absmax", "percentile"],
        true,
    ),
    |options, index| {
        use Normalize::{Absmax, None, Percentile, ReluMinmax};
        options.view.normalize = [None, ReluMinmax, Absmax, Percentile][index];
    },
);

pub(super) static RESOLUTION: Parameter = choice(
    "resolution",
    "The grid that the map is answered on.",
    (
        "The grid that a map is answered on.",
        &["native", "input", "original"],
        true,
    ),
    |options, index| {
        options.view.resolution = [Resolution::Native, Resolution::Input, Resolution::Original][index];
    },
);

pub(super) static OVERLAY: Parameter = flag(
    "overlay",
    "Whether a JSON answer bears the overlay, too.",
    |options, overlay| options.view.overlay = overlay,
);

pub(super) static RENDER: Parameter = choice(
    "render",
    "How a PNG shows the map. Several maps of one picture are shown side by side, each with its target.",
    (
        "How a PNG shows maps.",
        &["overlay", "heat", "side_by_side"],
        true,
    ),
    |options, index| options.view.render = [Render::Overlay, Render::Heat, Render::SideBySide][index],
);

pub(super) static COLORMAP: Parameter = choice(
    "colormap",
    "The colours. Default: `turbo`; for maps with values below zero `red_blue`, white at zero.",
    (
        "The colours of an overlay.",
        &["turbo", "viridis", "jet", "gray", "red_blue"],
        false,
    ),
    |options, index| {
        use Colormap::{Gray, Jet, RedBlue, Turbo, Viridis};
        options.view.colormap = Some([Turbo, Viridis, Jet, Gray, RedBlue][index]);
    },
);

pub(super) static ALPHA: Parameter = number(
    "alpha",
    "How much of the overlay is heat, 0 to 1; where a signed map says little, less.",
    (0.0, 1.0),
    Some(0.5),
    |options, value| options.view.alpha = value as f32,
);

/// Those that every method takes: what it is, what it explains, how its map is shown.
pub(super) static OF_ANY_METHOD: [&Parameter; 10] = [
    &METHOD,
    &TARGET,
    &EVIDENCE,
    &WEIGHTS,
    &NORMALIZE,
    &RESOLUTION,
    &OVERLAY,
    &RENDER,
    &COLORMAP,
    &ALPHA,
];

/// Those that every method takes for a model of tensors, which has no picture that a map is laid on.
pub(super) static OF_TENSORS: [&Parameter; 2] = [&METHOD, &TARGET];

/// All of them, in the order of the documents.
pub(super) static ALL: [&Parameter; 28] = [
    &METHOD,
    &LAYER,
    &FUSE,
    &TARGET,
    &INPUT,
    &GRID,
    &LAYOUT,
    &SMOOTH,
    &CHANNELS,
    &BASELINE,
    &N_STEPS,
    &N_SAMPLES,
    &SIGMA,
    &WINDOW,
    &STRIDE,
    &N_MASKS,
    &P,
    &CELL,
    &SEED,
    &BUDGET_MS,
    &EVIDENCE,
    &WEIGHTS,
    &NORMALIZE,
    &RESOLUTION,
    &OVERLAY,
    &RENDER,
    &COLORMAP,
    &ALPHA,
];
