//! A model whose passes are measured, for `lucarne tune` and `lucarne plan`: how long a batch takes on this machine's CPU, for
//! instances of so many threads, side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tch::Device;

use crate::catalog::open_alone;
use crate::engine::Share;
use crate::engine::cores::{Class, Cores};
use crate::error::{Error, Result};
use crate::manifest::{self, ArtifactFormat, Manifest};
use crate::runtime::Program;
use crate::runtime::plan::{Passes, Plan};
use crate::tasks::{self, Labels, ModelSpec};

/// The programs of one model, each opened once and kept between measurements.
pub(super) struct Measured {
    /// By threads of an instance.
    programs: BTreeMap<usize, Arc<dyn Program>>,
    cores: Arc<Cores>,
    pub(super) spec: ModelSpec,
    /// The artifact of the newest version.
    pub(super) file: PathBuf,
}

impl Measured {
    /// The newest version of the model in `dir`, as `manifest` says; nothing is loaded yet.
    pub(super) fn new(dir: &Path, manifest: Manifest) -> Result<Self> {
        let version = manifest::versions(dir, &manifest.artifact)?.pop();
        let version = version.ok_or_else(|| Error::Internal("a model without a version".into()))?;
        Ok(Self {
            programs: BTreeMap::new(),
            cores: Cores::of_this_machine(),
            spec: ModelSpec::new(manifest, Labels::default()),
            file: version.file,
        })
    }

    pub(super) fn share(&self, count: usize) -> Share {
        self.cores.share(count)
    }

    /// The model for instances of so many threads, loaded the first time that it is asked for.
    pub(super) fn program(&mut self, threads: usize) -> Result<Arc<dyn Program>> {
        if let Some(program) = self.programs.get(&threads) {
            return Ok(Arc::clone(program));
        }
        let program = open_alone(&self.file, &self.spec, self.share(threads))?.program;
        self.programs.insert(threads, Arc::clone(&program));
        Ok(program)
    }

    /// Sizes up to `largest`: powers of two, of a packaged model those that there are packages for.
    pub(super) fn batches(&self, largest: usize) -> Vec<usize> {
        let sizes: Vec<usize> = match self.spec.manifest.artifact.format {
            Some(ArtifactFormat::Aoti) => manifest::packages(&self.file)
                .into_iter()
                .map(|(size, _)| size)
                .collect(),
            _ => (0..usize::BITS).map(|power| 1 << power).collect(),
        };
        let within: Vec<usize> = sizes.into_iter().filter(|size| *size <= largest).collect();
        if within.is_empty() { vec![1] } else { within }
    }

    /// Items a second of `plan`.
    pub(super) fn rate(&mut self, plan: Plan, time: Duration) -> Result<f64> {
        Ok(self.passes(plan, time)?.rate)
    }

    /// What the instances of `plan` compute over `time`, the first batch of each apart, which is slower.
    pub(super) fn passes(&mut self, plan: Plan, time: Duration) -> Result<Passes> {
        let program = self.program(plan.threads)?;
        self.passes_of(&program, plan, time)
    }

    pub(super) fn passes_of(&self, program: &Arc<dyn Program>, plan: Plan, time: Duration) -> Result<Passes> {
        plan.passes(time, |plan| {
            let share = self.share(plan.threads);
            // Before the time that counts, and told by the first call.
            let mut settled = program.settle(&share, &|size| self.spec.blank(size, Device::Cpu));
            move || {
                std::mem::replace(&mut settled, Ok(()))?;
                let permit = share.acquire(Class::Predict);
                tasks::exercise(&**program, &permit, &self.spec, plan.batch)
            }
        })
    }
}
