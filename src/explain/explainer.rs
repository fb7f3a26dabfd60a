//! Runs explanations on the thread that owns it, on the model as it was exported.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use super::cells::Hints;
use super::chances::Chances;
use super::comparison::Made;
use super::explanation::Explanation;
use super::input::without_relus;
use super::inputs::Beside;
use super::judge::evidence;
use super::listing;
use super::map::Map;
use super::method::Family;
use super::options::Options;
use super::pace::Pace;
use super::sample::{Attribution, Attributions, Captures, Completeness, Sample};
use super::sensitivity::Sensitivities;
use super::table::{Row, row};
use super::visualize::{self, Visualization, Visualizer};
use super::work::{Description, Item, Several, Subject, Work};
use crate::engine::{Context, Runner, Share, Station, Ticket, compute};
use crate::error::{Error, Result};
use crate::image::{ModelInput, Placement};
use crate::manifest::Precision;
use crate::runtime::process::{configure_thread_on, release_unused_memory};
use crate::runtime::{Artifact, Formats, Program, Transparent, device, raised};
use crate::tasks::ModelSpec;

/// Images of a pass at most: as fast an image as larger ones, and a prediction that comes meanwhile waits less long.
const LARGEST_PASS: usize = 8;

/// Where an explainer gets its model, and how much of the machine it may use.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The artifact that predicts, too.
    pub artifact: Arc<Artifact>,
    /// What opens it.
    pub formats: Arc<dyn Formats>,
    /// What predicts.
    pub program: Arc<dyn Program>,
    /// In what numbers it does.
    pub precision: Precision,
    /// Where it computes.
    pub device: Device,
    /// The cores of each pass.
    pub share: Share,
}

/// What explains one model: the module is opened at the first request, and stays open.
pub struct Explainer {
    origin: Origin,
    spec: Arc<ModelSpec>,
    opened: OnceCell<Opened>,
}

/// What there is after the first request.
struct Opened {
    exported: Arc<dyn Transparent>,
    captures: Captures,
    description: Description,
    sensitivities: Sensitivities,
}

impl Opened {
    /// Refuses what the model is known to have nothing for.
    fn check(&self, ask: &Options) -> Result<()> {
        let row = row(ask.method);
        if row.family != Family::Outputs && !self.exported.has_gradients() {
            return Err(without_gradients(row));
        }
        let layers = &self.description.layers;
        if let (true, Some(why)) = (row.family.has_gradients(), &layers.without_gradients) {
            return Err(not_differentiable(row, why));
        }
        let can_be_guided = self.description.methods.iter().any(|known| known.is_guided);
        if row.is_guided && !can_be_guided {
            return Err(without_relus());
        }
        if row.family.has_layer() {
            layers.choose(&ask.layers, ask.hints)?;
        }
        Ok(())
    }
}

/// What is explained, on the device.
struct Given {
    input: Tensor,
    placement: Option<Placement>,
    reference: Option<Tensor>,
    beside: Option<Beside>,
    chances: Chances,
}

impl Explainer {
    /// An explainer that has opened nothing yet.
    ///
    /// # Errors
    /// As [`configure_thread_on`].
    pub fn new(origin: Origin, spec: Arc<ModelSpec>) -> Result<Self> {
        configure_thread_on(origin.device, origin.share.count)?;
        Ok(Self {
            origin,
            spec,
            opened: OnceCell::new(),
        })
    }

    fn pace<'a>(&'a self, context: &'a Context, budget: Option<Duration>) -> Pace<'a> {
        Pace {
            share: &self.origin.share,
            batch: self.spec.manifest.batching.max_batch_size.min(LARGEST_PASS),
            budget,
            context,
            started: Instant::now(),
        }
    }

    /// The model, which is opened if need be.
    fn opened(&self, context: &Context) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let exported = self.origin.formats.expose(
            &self.origin.artifact,
            self.origin.device,
            self.spec.selection().as_ref(),
        )?;
        let layers = listing::layers(&*exported, &self.spec, &self.pace(context, None))?;
        let methods = listing::abilities(&*exported, &self.spec, &layers)?;
        Ok(self.opened.get_or_init(|| Opened {
            exported,
            captures: Captures::default(),
            sensitivities: Sensitivities::default(),
            description: Description { layers, methods },
        }))
    }

    /// Whether the layer that is looked at where none is asked for has a map.
    ///
    /// # Errors
    /// [`Error::LayerNotFound`] where it has not; those of opening the model and of a pass over a blank picture.
    pub fn check_default_layer(&self, context: &Context) -> Result<()> {
        let layers = &self.opened(context)?.description.layers;
        layers.choose(&[], Hints::default()).map(drop)
    }

    fn explain(&self, item: &Item, context: &Context) -> Result<Vec<Explanation>> {
        let opened = self.opened(context)?;
        opened.check(&item.options)?;
        let given = self.given(&item.subject, item.reference.as_deref())?;
        let pace = self.pace(context, item.options.budget);
        self.made(opened, &given, (&item.options, item.most_maps), pace)
    }

    /// One map for each method, in their order, as many as the budget allows; none is made where one of them cannot be.
    fn compare(&self, several: &Several, context: &Context) -> Result<Vec<Made>> {
        let opened = self.opened(context)?;
        several
            .options
            .iter()
            .try_for_each(|options| opened.check(options))?;
        let given = self.given_picture(&several.picture, several.reference.as_deref())?;
        let budget = several.options.first().and_then(|options| options.budget);
        let pace = self.pace(context, budget);
        let mut all: Vec<Made> = Vec::new();
        for options in &several.options {
            if !all.is_empty() && pace.is_spent() {
                break;
            }
            let began = Instant::now();
            let made = self.made(opened, &given, (options, 1), pace)?;
            all.extend(made.into_iter().map(|explanation| Made {
                explanation,
                took: began.elapsed(),
            }));
        }
        Ok(all)
    }

    fn given(&self, subject: &Subject, reference: Option<&ModelInput>) -> Result<Given> {
        match subject {
            Subject::Picture(picture) => self.given_picture(picture, reference),
            Subject::Tensors(inputs) => {
                let beside = inputs.on(self.origin.device)?;
                Ok(Given {
                    input: beside.explained(),
                    placement: None,
                    reference: None,
                    beside: Some(beside),
                    chances: Chances::default(),
                })
            }
        }
    }

    fn given_picture(&self, picture: &ModelInput, reference: Option<&ModelInput>) -> Result<Given> {
        let batch = |picture: &ModelInput| self.spec.batch(&[picture], self.origin.device);
        Ok(Given {
            input: batch(picture)?,
            placement: Some(picture.placement),
            reference: reference.map(batch).transpose()?,
            beside: None,
            chances: Chances::default(),
        })
    }

    /// The maps of one method.
    fn made(
        &self,
        opened: &Opened,
        given: &Given,
        (ask, most_maps): (&Options, usize),
        mut pace: Pace<'_>,
    ) -> Result<Vec<Explanation>> {
        let row = row(ask.method);
        if given.beside.as_ref().is_some_and(|beside| !beside.is_batched()) {
            pace.batch = 1;
        }
        let sample = Sample {
            exported: &*opened.exported,
            frozen: match self.origin.precision {
                // Explanations are of the model as it was exported.
                Precision::Bf16 => &*opened.exported,
                _ => &*self.origin.program,
            },
            captures: &opened.captures,
            chances: &given.chances,
            layers: &opened.description.layers,
            spec: &self.spec,
            input: given.input.shallow_clone(),
            placement: given.placement,
            reference: given.reference.as_ref().map(Tensor::shallow_clone),
            beside: given.beside.as_ref(),
            ask,
            settled: None,
            sensitivities: &opened.sensitivities,
            most_maps,
            by_gradients: row.family.has_gradients(),
            pace,
        };
        let answer = (row.run)(&sample).and_then(|attributions| with_evidence(&sample, row, attributions));
        let answer = answer.map_err(|error| match error {
            Error::NotDifferentiable(why) => not_differentiable(row, &why),
            error => error,
        });
        if row.family != Family::LayerGradients || ask.evidence {
            // Many passes, or gradients down to the input, take far more than predictions do.
            release_unused_memory();
        }
        answer
    }

    fn visualize(&self, options: &visualize::Options, context: &Context) -> Result<Visualization> {
        let opened = self.opened(context)?;
        if let Some(why) = &opened.description.layers.without_gradients {
            return Err(Error::NotDifferentiable(why.clone()));
        }
        let visualizer = Visualizer {
            exported: &*opened.exported,
            captures: &opened.captures,
            layers: &opened.description.layers,
            spec: &self.spec,
            pace: self.pace(context, options.budget),
        };
        visualizer.visualize(options)
    }

    /// Computes one ticket; what the device has to say if it was lost by that.
    fn alone<I, O>(
        &self,
        ticket: Ticket<I, O>,
        station: &Station<'_>,
        answer: impl Fn(&I, &Context) -> Result<O>,
    ) -> Option<Error> {
        let is_lost = || device::is_lost(self.origin.device);
        compute(vec![ticket], station, is_lost, |asked| {
            Ok(asked
                .iter()
                .map(|asked| raised(|| answer(asked.input, asked.context)))
                .collect())
        })
    }
}

impl Runner<Work> for Explainer {
    /// Computes one piece of work after the other, each pass under a permit of its own.
    fn run(&mut self, batch: Vec<Work>, station: &Station<'_>) -> Option<Error> {
        let mut lost = None;
        for work in batch {
            let met = match work {
                Work::Explain(ticket) => {
                    self.alone(*ticket, station, |item, context| self.explain(item, context))
                }
                Work::Compare(ticket) => self.alone(*ticket, station, |several, context| {
                    self.compare(several, context)
                }),
                Work::Visualize(ticket) => self.alone(ticket, station, |options, context| {
                    self.visualize(options, context)
                }),
                Work::Describe(ticket) => self.alone(ticket, station, |_, context| {
                    Ok(self.opened(context)?.description.clone())
                }),
            };
            lost = lost.or(met);
        }
        lost
    }
}

/// What a method of gradients answers about a model whose operators have none, or that writes to what they need.
fn not_differentiable(row: &Row, why: &str) -> Error {
    let method = row.method.name();
    let refusal = Error::NotDifferentiable(why.to_owned());
    Error::UnsupportedForTask(format!(
        "{refusal}; {method} takes them, `eigen_cam`, `score_cam`, `occlusion` and `rise` take none. What runs under torch.no_grad() has \
         none: take the `with` out of forward, or look at a layer behind it; a network that was traced under it is traced without it"
    ))
}

fn without_gradients(row: &Row) -> Error {
    Error::UnsupportedForTask(format!(
        "{} looks at layers or gradients, and this model computes with quantised numbers, which have none; `rise` and \
         `occlusion` look at its answers alone, as does `d_rise` for detectors",
        row.method.name()
    ))
}

/// The maps, and how far they can be trusted where that is asked for.
fn with_evidence(sample: &Sample<'_>, row: &Row, made: Attributions) -> Result<Vec<Explanation>> {
    if !sample.ask.evidence {
        return explanations(row, made);
    }
    let maps: Vec<Map> = made
        .maps
        .iter()
        .map(|one| Map::of(&one.values))
        .collect::<Result<_>>()?;
    let found = evidence(sample, row, &made, &maps)?;
    let mut explanations = explanations(row, made)?;
    let mut found = found.into_iter();
    for explanation in &mut explanations {
        explanation.is_judged = true;
        explanation.is_weighed = sample.ask.weights;
        explanation.evidence = found.next();
    }
    Ok(explanations)
}

fn explanations(row: &Row, attributions: Attributions) -> Result<Vec<Explanation>> {
    let Attributions {
        targets,
        maps,
        passes,
    } = attributions;
    let explanation = |attribution: Attribution| {
        let map = Map::of(&attribution.values)?;
        Ok(Explanation {
            method: row.method,
            signed: row.is_signed,
            layer: attribution.layer,
            target: targets[attribution.target].clone(),
            degeneracy: map.degeneracy(),
            map,
            completeness: attribution.completeness.filter(Completeness::is_finite),
            passes,
            caution: row.caution,
            evidence: None,
            is_judged: false,
            is_weighed: false,
        })
    };
    maps.into_iter().map(explanation).collect()
}
