//! `lucarne trial`: one model, loaded and warmed up in a process that may end badly. The server and `check` start it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};

use super::output::print;
use crate::catalog::{Loader, VERDICT, problems};
use crate::engine::cores::Cores;
use crate::engine::observer::Silent;
use crate::error::{Error, Result};

/// The model of one trial, and the memory that it may take.
#[derive(Debug, Args)]
pub(super) struct Trial {
    /// The model's folder
    dir: PathBuf,
    /// The version to load; the newest without it
    #[arg(long)]
    version_name: Option<String>,
    /// Bytes of memory beyond what is taken at the start
    #[arg(long)]
    memory: u64,
}

impl Trial {
    /// Bounds what this process may take, and has it end with the one that started it; call it before libtorch is set up, whose
    /// blocks would not count otherwise. What cannot be had here is left out.
    pub(super) fn restrict(&self) {
        // Its sixth number is that of pages of data and stack.
        let taken = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = taken.split(' ').nth(5).and_then(|n| n.parse().ok()).unwrap_or(0);
        let taken = pages.saturating_mul(rustix::param::page_size() as u64);
        let limit = |resource, most: u64| {
            let maximum = getrlimit(resource).maximum;
            let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
            setrlimit(resource, Rlimit { current, maximum }).unwrap_or_default();
        };
        // Not of address space: CUDA reserves far more of that than there is memory.
        limit(Resource::Data, taken.saturating_add(self.memory));
        limit(Resource::Core, 0);
        // Where memory ends for all, this process goes first.
        std::fs::write("/proc/self/oom_score_adj", "1000").unwrap_or_default();
        // Processes that serve go first.
        nice(5).map(drop).unwrap_or_default();
        set_parent_process_death_signal(Some(Signal::KILL)).unwrap_or_default();
    }

    /// Prints the verdict.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] where the model did not pass, which the verdict has said.
    pub(super) fn run(&self) -> Result<()> {
        let loader = Loader::new(Cores::of_this_machine(), Box::new(|_, _, _| Arc::new(Silent)));
        let loaded = loader.load_alone(&self.dir, self.version_name.as_deref());
        let problems = problems(&self.dir, loaded);
        let json = serde_json::to_string(&problems).map_err(|e| Error::Internal(e.to_string()))?;
        print(&format!("\n{VERDICT}{json}"))?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::InvalidModel { problems })
    }
}
