//! Answers of a version that nobody asks, the shadow, beside those of the one that serves: computed in spare turns, compared,
//! and thrown away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::state::Service;
use crate::catalog::{HasEngine, Model};
use crate::engine::{Completed, Context};
use crate::error::{Error, Result};
use crate::image::Taken;
use crate::tasks::{Apart, Gist, Request, Weighed};
use crate::telemetry::Shadowed;

/// Inputs of such a request at most.
const MOST_INPUTS: usize = 8;

/// How long a request waits for a spare turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether nothing else is computed.
const LOOK: Duration = Duration::from_millis(1);

/// How long the shadow may take.
const LONGEST: Duration = Duration::from_secs(30);

/// A request that a shadow answers as well.
pub(super) struct Followed<Op: HasEngine> {
    service: Service,
    shadow: Arc<Model>,
    inputs: Vec<Op::Input>,
    options: Op::Options,
    _place: OwnedSemaphorePermit,
    /// Its inputs, and what their answers come down to.
    _held: Taken,
}

impl Service {
    /// `inputs`, and a copy of them for the shadow of `model`; none where it has none, or it is not its turn. A large copy is
    /// made on the pool.
    ///
    /// # Errors
    /// As [`Pool::run`](crate::image::Pool::run).
    pub(super) async fn followed<Op: HasEngine>(
        &self,
        model: &Model,
        inputs: Vec<Op::Input>,
        options: &Op::Options,
    ) -> Result<(Vec<Op::Input>, Option<Followed<Op>>)> {
        let Some(shadow) = self.catalog().shadow(model) else {
            return Ok((inputs, None));
        };
        let bytes = inputs.iter().map(Weighed::bytes).sum();
        let Some((place, held)) = self.spare_place(inputs.len(), bytes) else {
            for _ in &inputs {
                self.metrics()
                    .shadowed((&shadow.name, &shadow.version), Shadowed::Skipped);
            }
            return Ok((inputs, None));
        };
        let copy = move || Ok((inputs.clone(), inputs));
        let (copy, inputs) = self.pool().run_over(bytes, copy).await?;
        let followed = Followed {
            service: self.clone(),
            shadow,
            inputs: copy,
            options: options.clone(),
            _place: place,
            _held: held,
        };
        Ok((inputs, Some(followed)))
    }

    /// A place for a request of so many inputs, and memory for them and for what their answers come down to, where there is both.
    fn spare_place(&self, inputs: usize, bytes: usize) -> Option<(OwnedSemaphorePermit, Taken)> {
        if inputs > MOST_INPUTS {
            return None;
        }
        let place = Arc::clone(&self.spare().waiting).try_acquire_owned().ok()?;
        let gists = 2 * inputs as u64 * Gist::MOST_BYTES;
        Some((place, self.answers().take_now(bytes as u64 + gists)?))
    }
}

fn compared(
    Apart {
        agreement,
        difference,
    }: Apart,
) -> Shadowed {
    Shadowed::Compared {
        agreement,
        difference,
    }
}

impl<Op: HasEngine> Followed<Op> {
    /// Has the shadow compute the inputs when nobody else computes, and compares its answers with `served`.
    pub(super) fn compare(self, served: &[Completed<Op::Output>]) {
        let gists: Option<Vec<Gist>> = served.iter().map(|one| Op::gist(&one.output)).collect();
        if let Some(gists) = gists {
            tokio::spawn(self.compared(gists));
        }
    }

    async fn compared(self, served: Vec<Gist>) {
        let (service, shadow) = (self.service.clone(), Arc::clone(&self.shadow));
        let count = self.inputs.len();
        let found = match self.answers().await {
            None => vec![Shadowed::Skipped; count],
            Some(Err(error)) => {
                tracing::warn!(model = shadow.name, version = shadow.version, %error, "the shadow did not answer");
                vec![Shadowed::Failed; count]
            }
            Some(Ok(gists)) => {
                let pairs = gists.iter().zip(&served);
                pairs.map(|(gist, served)| compared(gist.apart(served))).collect()
            }
        };
        for outcome in found {
            service
                .metrics()
                .shadowed((&shadow.name, &shadow.version), outcome);
        }
    }

    /// What the shadow answers; nothing where there was no spare turn for it.
    async fn answers(self) -> Option<Result<Vec<Gist>>> {
        let until = Instant::now() + PATIENCE;
        let computing = Arc::clone(&self.service.spare().computing).acquire_owned();
        let _turn = tokio::time::timeout_at(until.into(), computing)
            .await
            .ok()?
            .ok()?;
        while !self.service.catalog().is_idle() {
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
        Some(self.computed().await)
    }

    async fn computed(self) -> Result<Vec<Gist>> {
        let Some(engine) = Op::engine(&self.shadow.predict) else {
            return Err(Error::Internal("the shadow is of another task".into()));
        };
        let places = engine.admit(self.inputs.len())?;
        let requests = Request::<Op>::of_each(self.inputs, &self.options, &self.shadow.spec);
        let context = Context::until(Some(Instant::now() + LONGEST));
        let answers = engine.submit_rows(places, requests, &context).await?;
        Ok(answers.iter().filter_map(|one| Op::gist(&one.output)).collect())
    }
}
