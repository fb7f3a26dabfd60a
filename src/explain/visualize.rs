//! Feature visualisation (Olah et al., Distill 2017): the picture that a channel or a class answers to most, found by
//! gradient ascent from noise. Jitter, total variation and a norm keep it from becoming noise again; the step rule and
//! the defaults are tf-keras-vis's (RMSprop, learning rate 1 in units of a pixel's 255).

use std::sync::Arc;
use std::time::Duration;

use tch::{Kind, Tensor};
use torch_bridge::{Generator, Given, Tap};

use super::cells::Hints;
use super::layers::Layers;
use super::pace::Pace;
use super::resolved::ResolvedTarget;
use super::sample::Captures;
use super::target::{ClassName, Target, refused};
use crate::engine::CorePermit;
use crate::engine::context::Passes;
use crate::error::{Error, Result};
use crate::manifest::TaskKind;
use crate::runtime::staging::all_finite;
use crate::runtime::{self, Transparent};
use crate::tasks::bounds::within;
use crate::tasks::classification::{of_each_class, scores};
use crate::tasks::{self, Frame, ModelSpec};

/// What is visualised.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A channel of a layer; without one, of the model's own.
    Channel {
        /// The layer's path.
        layer: Option<String>,
        /// The channel, from 0.
        channel: i64,
    },
    /// A class of a classifier, or a target that is none and is refused: see [`Options::check`].
    Class(Target),
}

/// What is asked of a visualisation. [`Options::new`] makes one that is within its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is visualised.
    pub subject: Subject,
    /// How the picture is found.
    pub ascent: Ascent,
    /// Stops after this long.
    pub budget: Option<Duration>,
}

/// How the ascent goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ascent {
    /// Steps, 1 to 1000.
    pub n_steps: usize,
    /// How far a step goes, in units of a pixel's 255, 0 to 100.
    pub learning_rate: f64,
    /// By how many pixels the picture is shifted at random before each step at most, 0 to 64.
    pub jitter: u32,
    /// The weight of the total variation, 0 to 1000.
    pub tv: f64,
    /// The weight of the mean magnitude, 0 to 1000.
    pub l1: f64,
    /// The seed of the noise and the jitter.
    pub seed: u32,
}

impl Options {
    /// The channel of a layer, or the class that `target` names, by an `ascent` within its bounds.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn new(
        (layer, channel): (Option<String>, Option<i64>),
        target: Target,
        ascent: Ascent,
        budget: Option<Duration>,
    ) -> Result<Self> {
        within("n_steps", ascent.n_steps, 1, 1000)?;
        within("learning_rate", ascent.learning_rate, 0.0, 100.0)?;
        within("jitter", ascent.jitter, 0, 64)?;
        within("tv", ascent.tv, 0.0, 1000.0)?;
        within("l1", ascent.l1, 0.0, 1000.0)?;
        let subject = match (channel, target) {
            (Some(channel), Target::Top) => Subject::Channel { layer, channel },
            (None, target) if target != Target::Top && layer.is_none() => Subject::Class(target),
            _ => {
                let text = "give the channel of a layer (channel=N, perhaps layer=PATH), or a class (target=), and not both";
                return Err(Error::parameter("channel", text));
            }
        };
        Ok(Self {
            subject,
            ascent,
            budget,
        })
    }

    /// Whether models of `task` have such a thing.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`], [`Error::InvalidParameter`]
    pub fn check(&self, task: TaskKind) -> Result<()> {
        match &self.subject {
            Subject::Class(_) if task != TaskKind::Classification => Err(Error::UnsupportedForTask(format!(
                "models of the task {task} have no class to visualise; give a layer and a channel"
            ))),
            Subject::Class(target) => class_of(target).map(drop),
            Subject::Channel { .. } => Ok(()),
        }
    }
}

/// The class that `target` is.
fn class_of(target: &Target) -> Result<&ClassName> {
    match target {
        Target::Class(class) => Ok(class),
        _ => Err(refused("a visualisation is of a class: give its id or its label")),
    }
}

/// A picture, and what it is of.
#[derive(Debug, Clone)]
pub struct Visualization {
    /// The layer, where a channel was asked for.
    pub layer: Option<String>,
    /// The channel.
    pub channel: Option<i64>,
    /// The class, where one was asked for.
    pub target: Option<ResolvedTarget>,
    /// What the noise scored: the mean activation of the channel, or the class's logit.
    pub score_before: f32,
    /// What the picture scores.
    pub score: f32,
    /// Steps that were made, and asked for.
    pub steps: Passes,
    /// The picture.
    pub image: Frame,
}

/// The model whose channels and classes are visualised.
pub(super) struct Visualizer<'a> {
    pub(super) exported: &'a dyn Transparent,
    pub(super) captures: &'a Captures,
    pub(super) layers: &'a Layers,
    pub(super) spec: &'a Arc<ModelSpec>,
    pub(super) pace: Pace<'a>,
}

/// What is to be raised.
enum Aim {
    Channel(String, i64),
    Class(usize),
}

/// RMSprop's memory of squared gradients.
const DECAY: f64 = 0.999;

impl Visualizer<'_> {
    pub(super) fn visualize(&self, options: &Options) -> Result<Visualization> {
        let (aim, ask) = (self.aim(&options.subject)?, &options.ascent);
        let range = self.range()?;
        let device = self.exported.device();
        let mut random = Generator::new(ask.seed)?;
        let size = self.spec.blank(1, device)?.size();
        let jitters = random.uniform(&[ask.n_steps as i64, 2])?;
        // Gray, with a little noise: a twentieth of the range.
        let noise = random.normal(&size)?.f_to_device(device)?;
        let mut picture = range
            .at(0.5)?
            .f_add(&noise.f_mul(&range.width)?.f_mul_scalar(0.05)?)?;
        let mut memory = picture.f_zeros_like()?;
        let before = self.score(&aim, &picture)?;
        let steps = self.pace.batches(ask.n_steps, 1, |step, permit| {
            let shift = jitters.f_select(0, step.start as i64)?;
            let gradient = self.ascent(permit, &aim, ask, &range, &picture, &shift)?;
            memory = memory
                .f_mul_scalar(DECAY)?
                .f_add(&gradient.f_square()?.f_mul_scalar(1.0 - DECAY)?)?;
            let step = gradient.f_div(&memory.f_sqrt()?.f_add_scalar(1e-7)?)?;
            let step = step
                .f_mul(&range.width)?
                .f_mul_scalar(ask.learning_rate / 255.0)?;
            picture = range.clamped(&picture.f_add(&step)?)?;
            Ok(())
        })?;
        let (score, image) = (
            self.score(&aim, &picture)?,
            Frame::of(self.spec, &picture.f_select(0, 0)?)?,
        );
        let (layer, channel, target) = match aim {
            Aim::Channel(layer, channel) => (Some(layer), Some(channel), None),
            Aim::Class(class_id) => (None, None, Some(self.class(class_id, &picture)?)),
        };
        Ok(Visualization {
            layer,
            channel,
            target,
            score_before: before,
            score,
            steps,
            image,
        })
    }

    fn aim(&self, subject: &Subject) -> Result<Aim> {
        match subject {
            Subject::Channel { layer, channel } => self.channel(layer.as_ref(), *channel),
            Subject::Class(target) => self.class_at(class_of(target)?),
        }
    }

    fn channel(&self, layer: Option<&String>, channel: i64) -> Result<Aim> {
        let asked: Vec<String> = layer.into_iter().cloned().collect();
        let layer = self.layers.choose(&asked, Hints::default())?[0];
        let channels = layer.channels();
        if (0..channels).contains(&channel) {
            return Ok(Aim::Channel(layer.path.clone(), channel));
        }
        let (path, last) = (&layer.path, channels - 1);
        let text = format!("found {channel}, but layer `{path}` has channels 0 to {last}");
        Err(Error::parameter("channel", text))
    }

    fn class_at(&self, class: &ClassName) -> Result<Aim> {
        let classes = self
            .logits(&self.spec.blank(1, self.exported.device())?)?
            .size1()?;
        let found = class.find(&self.spec.labels, usize::try_from(classes).unwrap_or(0))?;
        Ok(Aim::Class(found.ok_or_else(|| refused("which class?"))?))
    }

    fn logits(&self, picture: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let run = self.run(&self.pace.permit()?, &[], picture)?;
        Ok(of_each_class(run.output.into_tensor()?, &self.spec.labels)?.f_select(0, 0)?)
    }

    fn class(&self, class_id: usize, picture: &Tensor) -> Result<ResolvedTarget> {
        let scores = scores(&self.logits(picture)?, &self.spec.manifest.output)?;
        Ok(ResolvedTarget::Class {
            class_id,
            label: self.spec.labels.name(class_id),
            score: f32::try_from(scores.f_select(0, class_id as i64)?)?,
        })
    }

    fn run(&self, permit: &CorePermit<'_>, taps: &[Tap], picture: &Tensor) -> Result<torch_bridge::Run> {
        let method = tasks::methods(self.spec.manifest.task)[0];
        let capture = self.captures.get(self.exported, method, taps)?;
        let given = taps.iter().map(|_| Given::Nothing).collect();
        capture.run(permit, &[tasks::argument(self.spec, picture)?], given)
    }

    /// How much `picture` is what is aimed at.
    fn raised(&self, permit: &CorePermit<'_>, aim: &Aim, picture: &Tensor) -> Result<Tensor> {
        match aim {
            Aim::Class(class_id) => {
                let run = self.run(permit, &[], picture)?;
                let logits = of_each_class(run.output.into_tensor()?, &self.spec.labels)?;
                Ok(logits.f_select(0, 0)?.f_select(0, *class_id as i64)?)
            }
            Aim::Channel(layer, channel) => {
                let mut run = self.run(permit, &[Tap::record(layer)], picture)?;
                let executions = run.recorded.pop().unwrap_or_default();
                let missing = || Error::LayerNotFound(format!("layer `{layer}` did not run"));
                let of_layer = self.layers.at(layer).ok_or_else(missing)?;
                let mut maps = executions.iter().flatten().rev().filter_map(|tensor| {
                    let map = self.layers.as_channels(of_layer, tensor, Hints::default());
                    map.transpose()
                });
                let map = maps.next().ok_or_else(missing)??;
                Ok(map.f_select(0, 0)?.f_select(0, *channel)?.f_mean(Kind::Float)?)
            }
        }
    }

    fn score(&self, aim: &Aim, picture: &Tensor) -> Result<f32> {
        let _no_grad = tch::no_grad_guard();
        let score = f32::try_from(self.raised(&self.pace.permit()?, aim, picture)?)?;
        all_finite(&[score], "the score of the picture")?;
        Ok(score)
    }

    /// The gradient of what is aimed at minus the regularisers, at the picture shifted by `shift [2]` in 0..1.
    fn ascent(
        &self,
        permit: &CorePermit<'_>,
        aim: &Aim,
        ask: &Ascent,
        range: &Range,
        picture: &Tensor,
        shift: &Tensor,
    ) -> Result<Tensor> {
        let reach = f64::from(2 * ask.jitter + 1);
        let by = |axis: i64| -> Result<i64> {
            let random = f64::try_from(shift.f_select(0, axis)?)?;
            Ok((random * reach) as i64 - i64::from(ask.jitter))
        };
        let x = picture.f_detach()?.f_set_requires_grad(true)?;
        let shifted = x.f_roll([by(0)?, by(1)?], [2, 3])?;
        let plain = range.in_units(&x)?;
        let variation = |dim: i64| -> Result<Tensor> {
            let length = plain.size()[dim as usize] - 1;
            let difference = plain
                .f_narrow(dim, 1, length)?
                .f_sub(&plain.f_narrow(dim, 0, length)?)?;
            Ok(difference.f_square()?.f_sum(Kind::Float)?)
        };
        let cells = plain.numel() as f64;
        let rough = variation(2)?
            .f_add(&variation(3)?)?
            .f_mul_scalar(ask.tv / cells)?;
        let far = plain.f_abs()?.f_mean(Kind::Float)?.f_mul_scalar(ask.l1)?;
        let scalar = self.raised(permit, aim, &shifted)?.f_sub(&rough)?.f_sub(&far)?;
        let gradient = runtime::gradients(permit, &scalar, &[&x], false)?.pop().flatten();
        gradient.map_or_else(|| Ok(x.f_zeros_like()?), Ok)
    }
}

/// What values a pixel can have, in the model's normalised units.
struct Range {
    /// `[1, C, 1, 1]`
    low: Tensor,
    /// `[1, C, 1, 1]`
    width: Tensor,
}

impl Visualizer<'_> {
    fn range(&self) -> Result<Range> {
        let input = self.spec.manifest.image_input()?;
        let column = |value: f64| -> Result<Tensor> {
            let of = |(mean, std): (&f64, &f64)| ((value * input.scale - mean) / std) as f32;
            let values: Vec<f32> = input.mean.iter().zip(&input.std).map(of).collect();
            Ok(Tensor::from_slice(&values)
                .f_view([1, -1, 1, 1])?
                .f_to_device(self.exported.device())?)
        };
        let (low, high) = (column(0.0)?, column(255.0)?);
        Ok(Range {
            width: high.f_sub(&low)?,
            low,
        })
    }
}

impl Range {
    fn at(&self, part: f64) -> Result<Tensor> {
        Ok(self.low.f_add(&self.width.f_mul_scalar(part)?)?)
    }

    fn clamped(&self, picture: &Tensor) -> Result<Tensor> {
        Ok(picture.f_maximum(&self.low)?.f_minimum(&self.at(1.0)?)?)
    }

    /// −1 to 1 between the darkest and the brightest.
    fn in_units(&self, picture: &Tensor) -> Result<Tensor> {
        Ok(picture
            .f_sub(&self.at(0.5)?)?
            .f_div(&self.width)?
            .f_mul_scalar(2.0)?)
    }
}
