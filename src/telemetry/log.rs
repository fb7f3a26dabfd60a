//! The log. It never holds up what it tells of: lines go through a bounded queue to a thread that writes them, and where
//! nobody reads them, or their disk is full, lines are dropped and counted.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::traces::Traces;
use crate::config::{LogFormat, Settings};
use crate::error::{Error, Result};
use crate::spans;

/// Lines that may wait to be written.
const WAITING: usize = 4096;

/// The log of this process, and its traces; they are told as long as this is alive.
#[derive(Debug)]
pub struct Log {
    guard: WorkerGuard,
    dropped: ErrorCounter,
    traces: Option<Traces>,
}

impl Log {
    /// Lines that were dropped so far, to be asked for at any time.
    pub fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines() as u64
    }

    /// Tells what waits; gives up on it where that takes long.
    pub fn close(self) {
        const PATIENCE: Duration = Duration::from_millis(300);
        if let Some(traces) = &self.traces {
            traces.close(PATIENCE);
        }
        let (written, is_written) = mpsc::channel();
        let close = move || {
            drop(self.guard);
            written.send(()).unwrap_or_default();
        };
        if std::thread::Builder::new().spawn(close).is_ok() {
            is_written.recv_timeout(PATIENCE).unwrap_or_default();
        }
    }
}

/// Writes each event as one line, whatever texts are in it: a model's exception has many lines, and could look like others.
struct OneLine<W> {
    into: W,
    /// Whether there are colours in it: then other commands to a terminal cannot be told from them.
    has_colours: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let (text, end) = event.split_at(event.len() - usize::from(event.ends_with(b"\n")));
        let mut line = Vec::with_capacity(event.len());
        for &byte in text {
            match byte {
                b'\n' => line.extend(b"\\n"),
                b'\r' => line.extend(b"\\r"),
                command if command.is_ascii_control() && command != b'\t' && !self.has_colours => {
                    line.extend(format!("\\u{{{command:x}}}").as_bytes());
                }
                other => line.push(other),
            }
        }
        line.extend(end);
        self.into.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.into.flush()
    }
}

/// Starts logging to `into`, which is standard error; panics are logged, too. Traces are told where the settings say so.
///
/// # Errors
/// [`Error::InvalidSettings`] when the filter is no filter, or the collector's address none.
pub fn start_logging(settings: &Settings, into: impl Write + Send + 'static) -> Result<Log> {
    let traces = settings
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| Traces::to(endpoint, settings.trace_one_in))
        .transpose()?;
    let filter = filter(&settings.log)?;
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .lossy(true)
        .thread_name("log")
        .finish(into);
    let dropped = lines.error_counter();
    // Colours are for people: a file or a log collector gets none.
    let has_colours = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_ansi(has_colours);
    let layer = match settings.log_format {
        LogFormat::Json => layer
            .with_writer(lines)
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => {
            let line = move || OneLine {
                into: lines.clone(),
                has_colours,
            };
            layer.with_writer(line).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .with(traces.as_ref().map(Traces::layer))
        .try_init()
        .map_err(|e| Error::InvalidSettings(format!("log: {e}")))?;
    // The default hook writes to standard error itself, and waits where nobody reads it.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(Log {
        guard,
        dropped,
        traces,
    })
}

/// What is logged: as `said`, but for the spans of traces, and what HTTP/2 says of each client that breaks its rules, which clients
/// may do thousands of times a second.
fn filter(said: &str) -> Result<EnvFilter> {
    let wrong = |e: String| Error::InvalidSettings(format!("log: {e}"));
    let spans = format!("{}=off", spans::TARGET);
    EnvFilter::try_new(said).map_err(|e| wrong(e.to_string()))?;
    let filter = EnvFilter::try_new(format!("h2=error,{said}")).map_err(|e| wrong(e.to_string()))?;
    Ok(filter.add_directive(spans.parse().map_err(|e: ParseError| wrong(e.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_says() {
        let mut written = OneLine {
            into: Vec::new(),
            has_colours: false,
        };
        written
            .write_all(b"ERROR it said: a\nINFO ready\r\nb\x1b[31m\x07\n")
            .expect("a vector");
        assert_eq!(
            written.into,
            b"ERROR it said: a\\nINFO ready\\r\\nb\\u{1b}[31m\\u{7}\n"
        );
    }
}
