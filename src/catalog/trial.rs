//! Models are programs: one may crash libtorch, compute for ever or take all memory. So each is tried in a process of its own
//! before it enters this one: loaded, held against its contract and warmed up, with limits of time and memory.
//!
//! A trial that passed is remembered, where a folder for that can be written: under a digest of all that it depends on, which
//! are the model's files, the program and the processor.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::stamp::{Stamp, list};
use crate::error::{Error, Result};
use crate::manifest;
use crate::runtime::process::machine_memory;

/// What the process of a trial writes before its verdict, on a line of its own.
pub const VERDICT: &str = "lucarne-trial: ";

/// This program, also where its file has been replaced since.
const PROGRAM: &str = "/proc/self/exe";

/// Held by those that are tried side by side; by one that had too little memory beside others, for itself.
static OTHERS: RwLock<()> = RwLock::new(());

/// How much is kept of what a trial writes.
const WORDS: usize = 64 << 10;

/// The limits of each trial, and where those that passed are remembered.
#[derive(Debug, Clone)]
pub struct Trials {
    /// How long one may take.
    pub patience: Duration,
    /// Bytes of memory that one may take beyond what the program takes at its start.
    pub memory: u64,
    /// Where those that passed are remembered.
    pub cache: Option<PathBuf>,
}

impl Trials {
    /// Tries `version` of the model in `dir`, the newest without one.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with what the trial found, or how it ended.
    pub fn run(&self, dir: &Path, version: Option<&str>) -> Result<()> {
        self.stamped(dir, version).map(drop)
    }

    /// The same; what its files were before.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with what the trial found, or how it ended.
    pub(super) fn stamped(&self, dir: &Path, version: Option<&str>) -> Result<Stamp> {
        let mut end = Instant::now() + self.patience;
        let stamp = Stamp::of(dir);
        let remembered = self.cache.as_ref().and_then(|cache| {
            let digest = digest(dir, version, self.memory, end).ok()?;
            Some(cache.join("trials").join(digest))
        });
        if remembered.as_ref().is_some_and(|file| file.is_file()) {
            return Ok(stamp);
        }
        tracing::info!(model = %dir.display(), "the model is tried in a process of its own");
        let asked = Instant::now();
        let beside_others = OTHERS.read().unwrap_or_else(PoisonError::into_inner);
        // While another is tried alone, this one waits.
        end += asked.elapsed();
        let mut found = self.attempt(dir, version, end);
        drop(beside_others);
        if matches!(found, Err(Problems::Killed)) {
            let _alone = OTHERS.write().unwrap_or_else(PoisonError::into_inner);
            end = Instant::now() + self.patience;
            tracing::info!(model = %dir.display(), "its trial was killed, as happens where memory ends: it is tried once more, alone");
            found = self.attempt(dir, version, end);
        }
        let problem = |text: &str| Error::model(format!("{}: {text}", dir.display()));
        found.map_err(|problems| match problems {
            Problems::Named(problems) => Error::InvalidModel { problems },
            Problems::Ended(how) => problem(&how),
            Problems::Killed => problem("its trial was killed, as happens where memory ends"),
        })?;
        if let Some(file) = remembered.filter(|_| Stamp::of(dir) == stamp) {
            // Where it cannot be remembered, it is tried again.
            remember(&file).unwrap_or_default();
        }
        Ok(stamp)
    }

    fn attempt(&self, dir: &Path, version: Option<&str>, end: Instant) -> Result<(), Problems> {
        let mut trial = self
            .start(dir, version)
            .map_err(|e| Problems::Ended(format!("cannot be tried: {e}")))?;
        let Some(status) = trial.wait_until(end) else {
            let seconds = self.patience.as_secs();
            return Err(Problems::Ended(format!(
                "its trial took longer than {seconds} s (load_timeout_s): it computes for ever, or the machine is too slow"
            )));
        };
        let (said, complained) = trial.words();
        verdict(status, &said, &complained)
    }

    fn start(&self, dir: &Path, version: Option<&str>) -> io::Result<Trial> {
        let mut command = Command::new(PROGRAM);
        command
            .arg("trial")
            .arg(dir)
            .arg("--memory")
            .arg(self.memory.to_string())
            // Threads that spin while they wait for each other take the cores from those that compute, and there are
            // more of both than cores while models load side by side: a trial took four times as long.
            .env("OMP_WAIT_POLICY", "passive");
        if let Some(version) = version {
            command.arg("--version-name").arg(version);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let said = process.stdout.take().map(collect);
        let complained = process.stderr.take().map(collect);
        Ok(Trial {
            process,
            said,
            complained,
        })
    }
}

/// A trial that is under way; it ends with this.
struct Trial {
    process: Child,
    said: Option<JoinHandle<String>>,
    complained: Option<JoinHandle<String>>,
}

impl Trial {
    /// How it ended, if it did in time.
    fn wait_until(&mut self, end: Instant) -> Option<ExitStatus> {
        const LOOK: Duration = Duration::from_millis(10);
        while Instant::now() < end {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    /// What it wrote to its two streams.
    fn words(&mut self) -> (String, String) {
        let words =
            |thread: Option<JoinHandle<String>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
        (words(self.said.take()), words(self.complained.take()))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // It only fails where the process has ended.
        self.process.kill().unwrap_or_default();
        drop(self.process.wait());
    }
}

/// Reads a stream to its end, and keeps the last of it.
fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            kept.extend_from_slice(&piece[..length]);
            if kept.len() > 2 * WORDS {
                kept.drain(..kept.len() - WORDS);
            }
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// What a trial found.
#[derive(Debug)]
enum Problems {
    /// Its own words, which name the file.
    Named(Vec<String>),
    /// How it ended without a word.
    Ended(String),
    /// The system ended it.
    Killed,
}

fn verdict(status: ExitStatus, said: &str, complained: &str) -> Result<(), Problems> {
    let spoken = said.lines().rev().find_map(|line| line.strip_prefix(VERDICT));
    let problems = spoken.and_then(|json| serde_json::from_str::<Vec<String>>(json).ok());
    match (status.success(), problems) {
        (true, Some(problems)) if problems.is_empty() => Ok(()),
        (_, Some(problems)) if !problems.is_empty() => Err(Problems::Named(problems)),
        _ if status.signal() == Some(9) => Err(Problems::Killed),
        _ => Err(Problems::Ended(ending(status, complained))),
    }
}

fn ending(status: ExitStatus, complained: &str) -> String {
    let how = match status.signal() {
        Some(6) => {
            "aborted, as libtorch does where memory ends or it meets a state that cannot be".to_owned()
        }
        Some(8) => {
            "crashed (SIGFPE): it divides whole numbers by 0, or the least one by −1, which a client may send; bound them by \
             range = [least, greatest] under [[inputs]]"
                .to_owned()
        }
        Some(11) => {
            "crashed (SIGSEGV): libtorch cannot run this model; if it takes whole numbers, perhaps not the least and the \
             greatest, which a client may send: bound them by range = [least, greatest] under [[inputs]]"
                .to_owned()
        }
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with {status} and no verdict"),
    };
    let last: Vec<&str> = complained
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(3)
        .collect();
    let last: String = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
    if last.is_empty() {
        return format!("its trial {how}");
    }
    format!("its trial {how}; it said last: {}", crate::error::excerpt(&last))
}

/// Written beside and renamed, so that half a file is never taken for a verdict.
fn remember(file: &Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let half = tempfile::NamedTempFile::new_in(folder)?;
    half.persist(file).map_err(|e| e.error)?;
    Ok(())
}

/// Of all that a trial's outcome depends on. There is none of a folder that takes until `end` to read, or holds a file that
/// no memory holds.
fn digest(dir: &Path, version: Option<&str>, memory: u64, end: Instant) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let program = std::fs::metadata(PROGRAM)?;
    let mut say = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    say(env!("CARGO_PKG_VERSION"));
    say(&format!("{} {:?}", program.len(), program.modified()?));
    say(&processor());
    say(&gpus());
    say(&memory.to_string());
    say(version.unwrap_or("newest"));
    say(&std::thread::available_parallelism()
        .map_or(0, usize::from)
        .to_string());
    let mut files = Vec::new();
    list(dir, 1, &mut files)?;
    files.sort();
    for file in files {
        hasher.update(
            file.strip_prefix(dir)
                .unwrap_or(&file)
                .as_os_str()
                .as_encoded_bytes(),
        );
        hash(&mut manifest::open(&file)?, &mut hasher, end)?;
    }
    Ok(format!("{:x}", hasher.finalize()))
}

fn hash(file: &mut File, hasher: &mut Sha256, end: Instant) -> io::Result<()> {
    if file.metadata()?.len() > machine_memory() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut chunk = vec![0; 1 << 20];
    loop {
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => hasher.update(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the driver of NVIDIA's GPUs and the settings say of which there are; nothing where there are none.
fn gpus() -> String {
    const MOST: usize = 64;
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let seen = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let nodes = (0..MOST).filter(|index| Path::new(&format!("/dev/nvidia{index}")).exists());
    format!("{driver} {seen} {}", nodes.count())
}

/// What instructions the processor has: libtorch chooses its kernels by them.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = info.split("\n\n").next().unwrap_or_default();
    let tells = |line: &&str| {
        ["model name", "flags", "Features", "CPU part"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    first.lines().filter(tells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trial_says_is_its_verdict() {
        let passed = ExitStatus::from_raw(0);
        let failed = ExitStatus::from_raw(1 << 8);
        assert!(verdict(passed, "a model's own words\nlucarne-trial: []\n", "").is_ok());
        let found = verdict(failed, "lucarne-trial: [\"a\", \"b\"]", "");
        assert!(matches!(found, Err(Problems::Named(problems)) if problems == ["a", "b"]));
        let ended = |status, said| match verdict(status, said, "first\n\nlast\n") {
            Err(Problems::Ended(how)) => how,
            _ => panic!("it did not end by itself"),
        };
        assert!(ended(ExitStatus::from_raw(11), "").contains("SIGSEGV"));
        assert!(
            ended(passed, "").ends_with("first / last"),
            "no verdict is no success"
        );
        assert!(ended(failed, "lucarne-trial: []").contains("no verdict"));
    }

    #[test]
    fn a_digest_is_of_the_files_and_of_the_limits() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("model.toml"), "a").expect("writable");
        let later = Instant::now() + Duration::from_secs(60);
        let of = |memory| digest(dir.path(), None, memory, later).expect("a digest");
        let first = of(1);
        assert_eq!(first, of(1));
        assert_ne!(first, of(2));
        std::fs::create_dir(dir.path().join("1")).expect("writable");
        std::fs::write(dir.path().join("1/model.pt"), "b").expect("writable");
        assert_ne!(first, of(1));
    }

    #[test]
    fn a_folder_that_takes_too_long_to_read_has_no_digest() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("model.toml"), "a").expect("writable");
        let by = |end| digest(dir.path(), None, 1, end).map_err(|e| e.kind());
        let later = Instant::now() + Duration::from_secs(60);
        assert!(by(later).is_ok());
        assert_eq!(by(Instant::now()), Err(io::ErrorKind::TimedOut));
        let holes = File::create(dir.path().join("model.pt")).and_then(|file| file.set_len(8 << 40));
        holes.expect("a file of holes");
        assert_eq!(by(later), Err(io::ErrorKind::FileTooLarge));
    }
}
