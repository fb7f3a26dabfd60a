//! `lucarne tune`: measures how a model shares the cores best, and writes it into its model.toml.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tch::Device;
use toml_edit::{DocumentMut, Item};

use super::edited::{rewrite, set};
use super::measured::Measured;
use super::output::print;
use crate::catalog::open_alone;
use crate::error::{Error, Result};
use crate::manifest::{ArtifactFormat, Manifest, Precision};
use crate::runtime::Measured as Compared;
use crate::runtime::chosen;
use crate::runtime::plan::{Plan, Rated, choose, halve};
use crate::runtime::process::{configure_thread, has_bf16};
use crate::tasks::{self, Labels, ModelSpec, Scores};

/// `lucarne tune`
#[derive(Debug, Args)]
pub(super) struct Tune {
    /// The model's folder
    model: PathBuf,
    /// Seconds that measuring may take
    #[arg(long, default_value_t = 90.0)]
    seconds: f64,
    /// Largest batch that is tried
    #[arg(long, default_value_t = 32)]
    largest_batch: usize,
    /// Measure every plan for as long as the best, and say how near the quick search came
    #[arg(long)]
    full: bool,
    /// Print the plan, and leave model.toml as it is
    #[arg(long)]
    dry_run: bool,
}

/// Seconds that the full sweep gives each plan, in rounds so that a machine that slows down slows them all.
const SWEEP_ROUNDS: u32 = 3;
const SWEEP_ROUND: Duration = Duration::from_secs(2);

impl Tune {
    pub(super) fn run(&self) -> Result<()> {
        let started = Instant::now();
        if !(self.seconds.is_finite() && self.seconds > 0.0) || self.largest_batch == 0 {
            let text = "--seconds and --largest-batch must be greater than 0";
            return Err(Error::InvalidSettings(text.into()));
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (mut model, half) = self.open(cores)?;
        let plans = Plan::all(cores, &model.batches(self.largest_batch));
        for plan in &plans {
            // The first run of a size is slower, so it is not measured.
            model.rate(*plan, Duration::ZERO)?;
        }
        let measure = |plan: Plan, time: Duration| model.rate(plan, time);
        let rated = halve(&plans, Duration::from_secs_f64(self.seconds), measure)?;
        let chosen = choose(&rated).ok_or_else(|| Error::Internal("there is no plan".into()))?;
        print_rated(&rated[..rated.len().min(5)])?;
        let took = started.elapsed().as_secs_f64();
        print(&format!("best: {}, found in {took:.0} s", chosen.plan))?;
        if self.full {
            compare(&mut model, &plans, chosen.plan)?;
        }
        let half = match half {
            Some(spec) => in_half(&mut model, &spec, chosen.plan)?,
            None => None,
        };
        let chosen = Rated {
            rate: half.unwrap_or(chosen.rate),
            ..chosen
        };
        if self.dry_run {
            return Ok(());
        }
        let file = self.model.join("model.toml");
        rewrite(&file, |text| edited(text, chosen, half.is_some(), cores))?;
        print(&format!("written into {}", file.display()))
    }

    /// The model in single precision for `cores` instances, and the same in bfloat16, where model.toml leaves that open.
    fn open(&self, cores: usize) -> Result<(Measured, Option<ModelSpec>)> {
        let mut manifest = Manifest::read(&self.model)?;
        manifest.batching.max_batch_size = self.largest_batch;
        // As many runners as the plan with the most instances has.
        manifest.instances.count = cores;
        let is_open = manifest.instances.precision == Precision::F32
            && manifest.artifact.format != Some(ArtifactFormat::Aoti)
            && has_bf16();
        let half = is_open.then(|| {
            let mut manifest = manifest.clone();
            manifest.instances.precision = Precision::Bf16;
            ModelSpec::new(manifest, Labels::default())
        });
        if manifest.instances.precision == Precision::Auto {
            manifest.instances.precision = Precision::F32;
        }
        let half = half.filter(tasks::takes_one_batch);
        Ok((Measured::new(&self.model, manifest)?, half))
    }
}

/// Items a second of `plan` in bfloat16, as `half` says, where they are more by a tenth, and the scores the same within a
/// hundredth.
fn in_half(model: &mut Measured, half: &ModelSpec, plan: Plan) -> Result<Option<f64>> {
    let (single, share) = (model.program(plan.threads)?, model.share(plan.threads));
    let program = open_alone(&model.file, half, share.clone())?.program;
    configure_thread(plan.threads);
    let programs = [&single, &program].map(Arc::clone);
    let (scores, selection) = (Scores::new(half, Device::Cpu)?, half.selection());
    let measured = chosen::measure(programs, &scores, (&share, selection.as_ref()))?;
    let rate = |program, time| Ok::<f64, Error>(model.passes_of(program, plan, time)?.rate);
    // The first run of a size is slower, so it is not measured.
    rate(&program, Duration::ZERO)?;
    let (mut of_single, mut of_half) = (0.0, 0.0);
    for _ in 0..SWEEP_ROUNDS {
        of_single += rate(&single, SWEEP_ROUND)? / f64::from(SWEEP_ROUNDS);
        of_half += rate(&program, SWEEP_ROUND)? / f64::from(SWEEP_ROUNDS);
    }
    // By the plan's own rates: under load, not of one picture alone.
    let taken = chosen::choose(Compared {
        f32_ms: 1e3 / of_single,
        bf16_ms: 1e3 / of_half,
        ..measured
    });
    let is_taken = taken == Precision::Bf16;
    print(&format!(
        "bf16: {of_half:.1} items a second for {of_single:.1} in f32, scores differ by up to {:.4}: {}",
        measured.difference,
        if is_taken { "taken" } else { "not taken" }
    ))?;
    Ok(is_taken.then_some(of_half))
}

/// Measures all of `plans` alike, and says what `chosen` is beside the best.
fn compare(model: &mut Measured, plans: &[Plan], chosen: Plan) -> Result<()> {
    let mut sums = vec![0.0; plans.len()];
    for _ in 0..SWEEP_ROUNDS {
        for (sum, &plan) in sums.iter_mut().zip(plans) {
            *sum += model.rate(plan, SWEEP_ROUND)?;
        }
    }
    let mut rated: Vec<Rated> = plans
        .iter()
        .zip(sums)
        .map(|(&plan, sum)| Rated {
            plan,
            rate: sum / f64::from(SWEEP_ROUNDS),
        })
        .collect();
    rated.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    print("\nfull sweep")?;
    print_rated(&rated)?;
    let found = rated.iter().find(|r| r.plan == chosen).map_or(0.0, |r| r.rate);
    let share = 100.0 * found / rated.first().map_or(1.0, |r| r.rate);
    print(&format!(
        "the quick search's plan reaches {share:.1} % of the best"
    ))
}

fn print_rated(rated: &[Rated]) -> Result<()> {
    rated
        .iter()
        .try_for_each(|Rated { plan, rate }| print(&format!("{rate:>9.1} items a second  {plan}")))
}

/// `text` with the plan in it, and all else as it is.
fn edited(text: &str, chosen: Rated, in_half: bool, cores: usize) -> Result<String, toml_edit::TomlError> {
    const MARK: &str = "# lucarne tune:";
    let mut document: DocumentMut = text.parse()?;
    let Rated { plan, rate } = chosen;
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX).into();
    set(&mut document, "batching", "max_batch_size", number(plan.batch));
    set(&mut document, "instances", "count", number(plan.instances));
    set(&mut document, "instances", "threads", number(plan.threads));
    if in_half {
        set(&mut document, "instances", "precision", "bf16".into());
    }
    if let Some(table) = document.get_mut("instances").and_then(Item::as_table_mut) {
        let before = table.decor().prefix().and_then(|p| p.as_str()).unwrap_or("\n");
        let kept: String = before
            .split_inclusive('\n')
            .filter(|line| !line.starts_with(MARK))
            .collect();
        table.decor_mut().set_prefix(format!(
            "{kept}{MARK} {rate:.0} items a second on {cores} cores\n"
        ));
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATED: Rated = Rated {
        plan: Plan {
            instances: 2,
            threads: 1,
            batch: 8,
        },
        rate: 217.4,
    };

    #[test]
    fn a_plan_is_written_and_all_else_kept() {
        let before = "task = \"classification\" # mine\n\n[batching]\nmax_batch_size = 16 # large\n\n\
                      [input]\nsize = [8, 8]\n";
        let once = edited(before, RATED, false, 2).expect("it is TOML");
        assert!(once.contains("task = \"classification\" # mine\n"), "{once}");
        assert!(once.contains("max_batch_size = 8 # large\n"), "{once}");
        assert!(
            once.contains("# lucarne tune: 217 items a second on 2 cores\n[instances]\n"),
            "{once}"
        );
        let twice = edited(&once, RATED, false, 2).expect("it is TOML");
        assert_eq!(once, twice);
        let read = Manifest::parse(&twice).expect("the manifest is still right");
        assert_eq!(
            (
                read.batching.max_batch_size,
                read.instances.count,
                read.instances.threads
            ),
            (8, 2, 1)
        );
    }

    #[test]
    fn bfloat16_is_written_where_it_is_taken() {
        let before = "task = \"classification\"\n\n[instances]\nprecision = \"f32\" # exact\n\n[input]\nsize = [8, 8]\n";
        let taken = edited(before, RATED, true, 2).expect("it is TOML");
        assert!(taken.contains("precision = \"bf16\" # exact\n"), "{taken}");
        let left = edited(before, RATED, false, 2).expect("it is TOML");
        assert!(left.contains("precision = \"f32\" # exact\n"), "{left}");
    }

    #[test]
    fn what_is_not_toml_is_left_alone() {
        assert!(edited("task = ", RATED, false, 2).is_err());
    }
}
