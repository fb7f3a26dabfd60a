//! What a request takes beside its decoding and its pass: asked of a server in this process, over a connection that is kept.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::Server;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::transport::{Connections, Listener, listen};

use super::super::output::runtime;

/// Requests at the start that are slower, and do not count.
const WARM_UP: usize = 10;

/// Asks the model in `dir` for predictions of `picture`, one after the other, for so long: what each took that was neither
/// decoding, nor waiting, nor the pass.
pub(super) fn measure(dir: &Path, picture: &[u8], time: Duration) -> Result<Vec<Duration>> {
    let dir = dir
        .canonicalize()
        .map_err(|e| Error::InvalidSettings(format!("{}: {e}", dir.display())))?;
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let settings = Settings::default();
    let server = Server::of_model(dir, &settings)?;
    let runtime = runtime()?;
    runtime.block_on(server.load_or_fail())?;
    let refused = |e: std::io::Error| Error::InvalidSettings(format!("cannot listen on 127.0.0.1: {e}"));
    let socket = runtime.block_on(async {
        let socket = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok((socket.local_addr()?, socket))
    });
    let (address, socket) = socket.map_err(refused)?;
    let router = server.router();
    let connections = Arc::new(Connections::new(&settings, None));
    runtime.spawn(async move { connections.accept((&socket, Listener::Public), router).await });
    let url = format!("http://{address}/v1/models/{}/predict", name.unwrap_or_default());
    ask(&url, picture, time)
}

fn ask(url: &str, picture: &[u8], time: Duration) -> Result<Vec<Duration>> {
    // A proxy has no place before a server in this process.
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let failed = |e: ureq::Error| Error::InferenceFailed(format!("a prediction of the picture: {e}"));
    let (started, mut spent) = (Instant::now(), Vec::new());
    for number in 0.. {
        let begun = Instant::now();
        let mut answer = agent.post(url).send(picture).map_err(failed)?;
        let answer = answer.body_mut().read_to_vec().map_err(failed)?;
        let took = begun.elapsed();
        if number >= WARM_UP {
            spent.push(of_answer(&answer, took)?);
        }
        if !spent.is_empty() && started.elapsed() >= time {
            break;
        }
    }
    Ok(spent)
}

/// What remains of the time that it took, by the answer's own account of the rest.
fn of_answer(answer: &[u8], took: Duration) -> Result<Duration> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|e| Error::Internal(format!("the answer of a prediction is no JSON: {e}")))?;
    let timing = |part: &str| {
        let ms = answer["timing_ms"][part].as_f64().filter(|ms| *ms >= 0.0);
        let ms = ms.ok_or_else(|| Error::Internal(format!("an answer without timing_ms.{part}")))?;
        Duration::try_from_secs_f64(ms / 1e3).map_err(|e| Error::Internal(e.to_string()))
    };
    let known = timing("decode")? + timing("queue")? + timing("compute")?;
    Ok(took.saturating_sub(known))
}
