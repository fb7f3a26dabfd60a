//! Feature visualisation (Olah et al., Distill 2017): the picture that a channel or a class answers to most, found by
//! gradient ascent from noise. Jitter, total variation and a norm keep it from becoming noise again; the step rule and
//! the defaults are tf-keras-vis's (RMSprop, learning rate 1 in units of a pixel's 255).

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use torch_bridge::{Generator, Tap};
use utoipa::{IntoParams, ToSchema};

use super::layers::as_channels;
use super::passes::{Pace, Passes, Patience};
use super::study::Captures;
use super::target::{Target, refused};
use super::{Layers, ResolvedTarget};
use crate::engine::session::{Exported, first_tensor};
use crate::engine::turns::Turns;
use crate::error::{Error, Result};
use crate::repository::manifest::TaskKind;
use crate::tasks::{self, Frame, Subject};

/// Parameters of a visualisation: a `layer` and a `channel` of it, or the `target` of a classifier.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// The layer whose channel is visualised; see `/layers`. Default: the model's own, else the last with a map.
    #[param(required = false, example = "features.10")]
    pub layer: Option<String>,
    /// A channel of the layer, from 0.
    #[param(required = false, minimum = 0)]
    pub channel: Option<i64>,
    /// A class id or a label, instead of a channel.
    #[param(value_type = String, required = false, example = "espresso")]
    pub target: Target,
    /// Steps of the ascent.
    #[param(required = false, minimum = 1, maximum = 1000, default = 200)]
    pub n_steps: usize,
    /// How far a step goes, in units of a pixel's 255.
    #[param(required = false, minimum = 0, maximum = 100, default = 1.0)]
    pub learning_rate: f64,
    /// By how many pixels the picture is shifted at random before each step, at most.
    #[param(required = false, minimum = 0, maximum = 64, default = 4)]
    pub jitter: u32,
    /// The weight of the total variation, which makes it smooth.
    #[param(required = false, minimum = 0, maximum = 1000, default = 1.0)]
    pub tv: f64,
    /// The weight of the mean magnitude, which keeps it near gray.
    #[param(required = false, minimum = 0, maximum = 1000, default = 0.3)]
    pub l1: f64,
    /// The seed of the noise and the jitter; the same one gives the same picture.
    #[param(required = false, default = 0)]
    pub seed: u64,
    /// Stops after this long, and says how far it came.
    #[param(required = false, minimum = 1)]
    pub budget_ms: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            layer: None,
            channel: None,
            target: Target::Top,
            n_steps: 200,
            learning_rate: 1.0,
            jitter: 4,
            tv: 1.0,
            l1: 0.3,
            seed: 0,
            budget_ms: None,
        }
    }
}

impl Options {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]
    pub fn validate(&self) -> Result<()> {
        let within = |name: &str, found: f64, least: f64, most: f64| {
            let text = || format!("found {found}, expected {least} to {most}");
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(Error::parameter(name, text()))
            }
        };
        within("n_steps", self.n_steps as f64, 1.0, 1000.0)?;
        within("learning_rate", self.learning_rate, 0.0, 100.0)?;
        within("jitter", self.jitter.into(), 0.0, 64.0)?;
        within("tv", self.tv, 0.0, 1000.0)?;
        within("l1", self.l1, 0.0, 1000.0)?;
        within("seed", self.seed as f64, 0.0, i64::MAX as f64)?;
        if self.channel.is_some() != (self.target == Target::Top) {
            let text = "give the channel of a layer (channel=N, perhaps layer=PATH), or a class (target=), and not both";
            return Err(Error::parameter("channel", text));
        }
        Ok(())
    }
}

/// One visualisation.
#[derive(Debug)]
pub struct Item {
    /// What was asked for.
    pub ask: Options,
    /// Who waits for it.
    pub patience: Patience,
}

/// A picture, and what it is of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Visualization {
    /// The layer, where a channel was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "features.10")]
    pub layer: Option<String>,
    /// The channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<i64>,
    /// The class, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Who paints: a model and its share of the machine.
pub(super) struct Painter<'a> {
    pub(super) exported: &'a Exported,
    pub(super) captures: &'a Captures,
    pub(super) layers: &'a Layers,
    pub(super) subject: &'a Arc<Subject>,
    pub(super) turns: &'a Turns,
    pub(super) threads: usize,
}

/// What is to be raised.
enum Aim {
    Channel(String, i64),
    Class(usize),
}

/// RMSprop's memory of squared gradients.
const DECAY: f64 = 0.999;

impl Painter<'_> {
    pub(super) fn paint(&self, item: &Item) -> Result<Visualization> {
        let ask = &item.ask;
        let aim = self.aim(ask)?;
        let range = self.range()?;
        let mut random = Generator::new(ask.seed)?;
        let size = self.subject.blank(1, self.exported.device)?.size();
        let jitters = random.uniform(&[ask.n_steps as i64, 2])?;
        // Gray, with a little noise: a twentieth of the range.
        let noise = random.normal(&size)?.f_to_device(self.exported.device)?;
        let mut picture = range
            .at(0.5)?
            .f_add(&noise.f_mul(&range.width)?.f_mul_scalar(0.05)?)?;
        let mut memory = picture.f_zeros_like()?;
        let pace = Pace {
            turns: self.turns,
            threads: self.threads,
            batch: 1,
            patience: &item.patience,
            started: Instant::now(),
        };
        let before = self.score(&aim, &picture)?;
        let steps = pace.batches(ask.n_steps, 1, |step| {
            let shift = jitters.f_select(0, step.start as i64)?;
            let gradient = self.ascent(&aim, ask, &range, &picture, &shift)?;
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
        Ok(Visualization {
            score_before: before,
            score: self.score(&aim, &picture)?,
            steps,
            image: Frame::of(self.subject, &picture.f_select(0, 0)?)?,
            layer: match &aim {
                Aim::Channel(layer, _) => Some(layer.clone()),
                Aim::Class(_) => None,
            },
            channel: ask.channel,
            target: match aim {
                Aim::Channel(..) => None,
                Aim::Class(class_id) => Some(self.class(class_id, &picture)?),
            },
        })
    }

    fn aim(&self, ask: &Options) -> Result<Aim> {
        if let Some(channel) = ask.channel {
            let asked: Vec<&str> = ask.layer.as_deref().into_iter().collect();
            let layer = self.layers.choose(&asked, None)?[0];
            let channels = if layer.grid.is_some() {
                layer.shape[2]
            } else {
                layer.shape[1]
            };
            if !(0..channels).contains(&channel) {
                let text = format!(
                    "found {channel}, but layer `{}` has channels 0 to {}",
                    layer.path,
                    channels - 1
                );
                return Err(Error::parameter("channel", text));
            }
            return Ok(Aim::Channel(layer.path.clone(), channel));
        }
        let task = self.subject.manifest.task;
        let Target::Class(class) = &ask.target else {
            return Err(refused("a visualisation is of a class: give its id or its label"));
        };
        if task != TaskKind::Classification {
            let text =
                format!("models of the task {task:?} have no class to visualise; give a layer and a channel");
            return Err(Error::UnsupportedForTask(text));
        }
        let classes = self
            .logits(&self.subject.blank(1, self.exported.device)?)?
            .size1()?;
        let found = class.find(&self.subject.labels, usize::try_from(classes).unwrap_or(0))?;
        Ok(Aim::Class(found.ok_or_else(|| refused("which class?"))?))
    }

    fn logits(&self, picture: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let run = self
            .capture(&[])?
            .run(&[tasks::argument(self.subject, picture)?])?;
        Ok(first_tensor(run.output)?.f_select(0, 0)?)
    }

    fn class(&self, class_id: usize, picture: &Tensor) -> Result<ResolvedTarget> {
        let activation = self.subject.manifest.output.activation;
        let scores = tasks::classification::scores(&self.logits(picture)?, activation)?;
        Ok(ResolvedTarget::Class {
            class_id,
            label: self.subject.labels.name(class_id),
            score: f32::try_from(scores.f_select(0, class_id as i64)?)?,
        })
    }

    fn capture(&self, taps: &[Tap]) -> Result<std::rc::Rc<torch_bridge::Capture>> {
        self.captures.get(
            &self.exported.module,
            tasks::methods(self.subject.manifest.task)[0],
            taps,
        )
    }

    /// How much `picture` is what is aimed at.
    fn raised(&self, aim: &Aim, picture: &Tensor) -> Result<Tensor> {
        let argument = tasks::argument(self.subject, picture)?;
        match aim {
            Aim::Class(class_id) => {
                let run = self.capture(&[])?.run(&[argument])?;
                Ok(first_tensor(run.output)?
                    .f_select(0, 0)?
                    .f_select(0, *class_id as i64)?)
            }
            Aim::Channel(layer, channel) => {
                let mut run = self.capture(&[Tap::record(layer)])?.run(&[argument])?;
                let executions = run.recorded.pop().unwrap_or_default();
                let mut maps = executions
                    .iter()
                    .flatten()
                    .rev()
                    .filter_map(|tensor| as_channels(tensor, None).transpose());
                let missing = || Error::LayerNotFound(format!("layer `{layer}` did not run"));
                let map = maps.next().ok_or_else(missing)??;
                Ok(map.f_select(0, 0)?.f_select(0, *channel)?.f_mean(Kind::Float)?)
            }
        }
    }

    fn score(&self, aim: &Aim, picture: &Tensor) -> Result<f32> {
        let _no_grad = tch::no_grad_guard();
        Ok(f32::try_from(self.raised(aim, picture)?)?)
    }

    /// The gradient of what is aimed at minus the regularisers, at the picture shifted by `shift [2]` in 0..1.
    fn ascent(
        &self,
        aim: &Aim,
        ask: &Options,
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
        let scalar = self.raised(aim, &shifted)?.f_sub(&rough)?.f_sub(&far)?;
        let gradient = torch_bridge::grad(&scalar, &[&x], false)?.pop().flatten();
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

impl Painter<'_> {
    fn range(&self) -> Result<Range> {
        let input = self.subject.manifest.image_input()?;
        let column = |value: f64| -> Result<Tensor> {
            let of = |(mean, std): (&f64, &f64)| ((value * input.scale - mean) / std) as f32;
            let values: Vec<f32> = input.mean.iter().zip(&input.std).map(of).collect();
            Ok(Tensor::from_slice(&values)
                .f_view([1, -1, 1, 1])?
                .f_to_device(self.exported.device)?)
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

impl Options {
    /// How long whoever asks waits.
    #[must_use]
    pub fn budget(&self) -> Option<Duration> {
        self.budget_ms.map(Duration::from_millis)
    }
}
