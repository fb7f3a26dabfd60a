//! Methods beside each other.

use serde::Serialize;
use utoipa::ToSchema;

use super::evidence::Evidence;
use super::explanations::{Completeness, Passes};
use super::names::{Method, TaskKind};
use super::sizes::ImageSize;
use super::targets::ResolvedTarget;
use crate::error::counted;
use crate::explain::{self, AGREEMENT, View};
use crate::protocol::v1::timing::TimingMs;
use crate::service;

/// The rule by which methods are ranked.
const RULE: &str = "by gain: insertion minus deletion, where what a map names first counts most, less the same of random maps; a map \
                    that gains no more than a random one may (`noise`) has no place, and one that is no more than `margin` behind the \
                    best of a place shares it";

/// Several methods on one picture and target.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::protocol::v1) struct MethodsCompared {
    #[schema(example = "mobilenet_v2")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    image: ImageSize,
    /// What was explained.
    target: Option<ResolvedTarget>,
    /// Each method's map, in the order that was asked for.
    methods: Vec<ComparedMethod>,
    /// Methods that `budget_ms` left no time for.
    skipped: Vec<Method>,
    /// Which of them says most.
    ranking: Ranking,
    /// Whether they say the same.
    agreement: Agreement,
    timing_ms: TimingMs,
}

/// The map of one method.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedMethod {
    /// How it was made.
    method: Method,
    /// The layer whose activation was looked at, where the method looks at one; several with commas between, if fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "features.18")]
    layer: Option<String>,
    /// The method's own result.
    map: ComparedMap,
    /// Whether the map says nothing: it is zero everywhere, or not finite.
    degenerate: bool,
    /// Why the map is degenerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    degenerate_reason: Option<&'static str>,
    /// Of integrated gradients: whether the attribution adds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<Completeness>,
    /// Of methods of many passes: how many were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<Passes>,
    /// Whether the budget ended before the method did.
    stopped_early: bool,
    /// What whoever reads the map should know of the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'static str>,
    /// How far the map can be trusted; not where the budget ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    /// What it took.
    cost: MethodCost,
}

/// A map, in short or whole.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedMap {
    /// `[height, width]`; `[channels, height, width]` with `channels=keep`.
    #[schema(example = json!([7, 7]))]
    shape: Vec<usize>,
    /// Row-major, with `maps=true`; values that are not finite are `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f32>>>)]
    data: Option<Vec<f32>>,
    /// The smallest value.
    #[schema(value_type = Option<f32>, required = true)]
    min: f32,
    /// The largest value.
    #[schema(value_type = Option<f32>, required = true)]
    max: f32,
}

/// What a map and its evidence took.
#[derive(Debug, Serialize, ToSchema)]
struct MethodCost {
    /// Passes through the model that counted towards `max_passes`, in images; methods that weigh channels by passes take as many more
    /// as the layer has.
    #[schema(example = 342)]
    passes: usize,
    /// Milliseconds; what random maps take falls to the first method of their grid.
    #[schema(example = 812.5)]
    ms: f64,
}

/// Methods by what their maps say.
#[derive(Debug, Serialize, ToSchema)]
struct Ranking {
    /// How it is made.
    rule: &'static str,
    /// A fiftieth of the span of all scores: gains that differ by no more share a place.
    #[schema(example = 0.018)]
    margin: f64,
    /// The best first; those that are no better than random last.
    places: Vec<Place>,
    /// The same in a sentence.
    #[schema(example = "grad_cam and hires_cam say most; occlusion is no better than a random map.")]
    summary: String,
}

/// Where a method stands.
#[derive(Debug, Serialize, ToSchema)]
struct Place {
    method: Method,
    /// From 1; equal for those that cannot be told apart. `null` where the map is no better than a random one, or says nothing.
    #[schema(example = 1)]
    place: Option<usize>,
    /// `evidence.early − evidence.random.early`; `null` without evidence.
    #[schema(example = 0.31)]
    gain: Option<f64>,
    /// One and a half standard deviations of the gain of random maps, about one in four of which gains more.
    #[schema(example = 0.06)]
    noise: Option<f64>,
}

/// The correlations of maps.
#[derive(Debug, Serialize, ToSchema)]
struct Agreement {
    /// The rows and columns of the matrix.
    methods: Vec<Method>,
    /// Spearman's rank correlation of each two maps, resized to the model's input; `null` where a map is the same everywhere.
    #[schema(value_type = Vec<Vec<Option<f64>>>, example = json!([[1.0, 0.94], [0.94, 1.0]]))]
    correlations: Vec<Vec<Option<f64>>>,
    /// Maps that correlate by less disagree.
    #[schema(example = 0.3)]
    threshold: f64,
    /// The pairs that do.
    disagreements: Vec<Disagreement>,
    /// The same in a sentence; `null` where there are no two maps.
    #[schema(example = "The methods agree: each two maps correlate by at least 0.3.")]
    summary: Option<String>,
}

/// Two methods whose maps say different things.
#[derive(Debug, Serialize, ToSchema)]
struct Disagreement {
    one: Method,
    other: Method,
    #[schema(example = 0.12)]
    correlation: f64,
}

impl MethodsCompared {
    /// `view`: how the maps are answered, where they are.
    pub(in crate::protocol::v1) fn new(
        done: service::MethodsCompared,
        view: Option<View>,
        timing_ms: TimingMs,
    ) -> Self {
        let methods: Vec<explain::Method> = done.made.iter().map(|made| made.explanation.method).collect();
        let target = done.made.first().map(|made| made.explanation.target.clone());
        let placement = done.placement;
        let method = |(made, passes): (explain::Made, usize)| {
            ComparedMethod::new(made, passes, |map| {
                view.map(|view| {
                    map.normalized(view.normalize)
                        .resized(view.resolution, &placement)
                })
            })
        };
        Self {
            model: done.model.name.clone(),
            version: done.model.version.clone(),
            task: done.model.spec.manifest.task.into(),
            image: (&done.placement).into(),
            target: target.map(ResolvedTarget::from),
            ranking: Ranking::new(&methods, &done.comparison, done.skipped.len()),
            agreement: Agreement::new(&methods, &done.comparison),
            methods: done.made.into_iter().zip(done.passes).map(method).collect(),
            skipped: done.skipped.into_iter().map(Method::from).collect(),
            timing_ms,
        }
    }
}

impl ComparedMethod {
    fn new(
        made: explain::Made,
        passes: usize,
        shown: impl Fn(&explain::Map) -> Option<explain::Map>,
    ) -> Self {
        let explanation = made.explanation;
        let shown = shown(&explanation.map);
        let (is_answered, map) = match shown {
            Some(map) => (true, map),
            None => (false, explanation.map.clone()),
        };
        Self {
            stopped_early: explanation.stopped_early(),
            method: explanation.method.into(),
            layer: explanation.layer,
            map: ComparedMap {
                shape: map.shape,
                data: is_answered.then_some(map.data),
                min: map.min,
                max: map.max,
            },
            degenerate: explanation.degeneracy.is_some(),
            degenerate_reason: explanation.degeneracy,
            completeness: explanation.completeness.map(Completeness::from),
            passes: explanation.passes.map(Passes::from),
            caution: explanation.caution,
            evidence: explanation
                .evidence
                .map(|evidence| Evidence::new(evidence, explanation.degeneracy.is_some())),
            cost: MethodCost {
                passes,
                ms: made.took.as_micros() as f64 / 1e3,
            },
        }
    }
}

impl Ranking {
    fn new(methods: &[explain::Method], found: &explain::Comparison, skipped: usize) -> Self {
        let named = |places: &mut dyn Iterator<Item = &explain::Place>| {
            let names: Vec<&str> = places.map(|place| methods[place.index].name()).collect();
            (listed(&names), names.len())
        };
        let (first, leaders) = named(&mut found.ranking.iter().filter(|place| place.place == Some(1)));
        let is_random = |place: &&explain::Place| place.place.is_none() && place.gain.is_some();
        let (random, no_better) = named(&mut found.ranking.iter().filter(is_random));
        let is_measured = found.ranking.iter().any(|place| place.gain.is_some());
        let most = match leaders {
            _ if !is_measured => "No map was measured".to_owned(),
            0 => "No method says more than a random map does: trust none of these maps".to_owned(),
            1 => format!("{first} says most"),
            _ => format!("{first} say most, and cannot be told apart"),
        };
        let rest = match no_better {
            _ if leaders == 0 => String::new(),
            0 => String::new(),
            1 => format!("; {random} is no better than a random map"),
            _ => format!("; {random} are no better than random maps"),
        };
        let late = match skipped {
            0 => String::new(),
            _ => format!(" There was no time for {}.", counted(skipped, "more method")),
        };
        let place = |place: &explain::Place| Place {
            method: methods[place.index].into(),
            place: place.place,
            gain: place.gain,
            noise: place.noise,
        };
        Self {
            rule: RULE,
            margin: found.margin,
            places: found.ranking.iter().map(place).collect(),
            summary: format!("{most}{rest}.{late}"),
        }
    }
}

impl Agreement {
    fn new(methods: &[explain::Method], found: &explain::Comparison) -> Self {
        let pairs: Vec<(usize, usize, f64)> = found.disagreements().collect();
        let least = pairs.iter().min_by(|a, b| a.2.total_cmp(&b.2));
        let pairs_there_are = methods.len() * methods.len().saturating_sub(1) / 2;
        let rows = found.correlations.iter().enumerate();
        let all = rows
            .map(|(index, row)| row[index + 1..].iter().flatten().count())
            .sum::<usize>();
        let before = "Look at the ranking before you believe one of them.";
        let summary = match (least, all) {
            (_, 0) if pairs_there_are == 0 => None,
            (_, 0) => Some(
                "No two maps can be compared: those that are the same everywhere have no order.".to_owned(),
            ),
            (None, 1) => Some(format!(
                "The methods agree: their maps correlate by at least {AGREEMENT}."
            )),
            (None, _) => Some(format!(
                "The methods agree: each two maps correlate by at least {AGREEMENT}."
            )),
            (Some((.., correlation)), 1) => Some(format!(
                "The methods disagree: their maps correlate by {}. {before}",
                hundredths(*correlation)
            )),
            (Some((one, other, correlation)), _) => Some(format!(
                "Methods disagree: {} of {all} pairs of maps correlate by less than {AGREEMENT}, {} and {} least, by {}. {before}",
                pairs.len(),
                methods[*one].name(),
                methods[*other].name(),
                hundredths(*correlation),
            )),
        };
        let pair = |(one, other, correlation): (usize, usize, f64)| Disagreement {
            one: methods[one].into(),
            other: methods[other].into(),
            correlation,
        };
        Self {
            methods: methods.iter().map(|method| (*method).into()).collect(),
            correlations: found.correlations.clone(),
            threshold: AGREEMENT,
            disagreements: pairs.into_iter().map(pair).collect(),
            summary,
        }
    }
}

/// With two digits behind the point; zero has no sign.
fn hundredths(value: f64) -> String {
    let text = format!("{value:.2}");
    match text.as_str() {
        "-0.00" => "0.00".to_owned(),
        _ => text,
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
