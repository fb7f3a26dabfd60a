//! One thing that can be asked of a model, with its types.

use std::fmt::Debug;

use super::gist::Gist;
use super::row_count::check_rows;
use super::spec::ModelSpec;
use crate::engine::{Asked, Ticket, Work};
use crate::error::{Error, Result};
use crate::image::ModelInput;
use crate::runtime::Call;

/// An input of which it is known how much it takes.
pub trait Weighed {
    /// Its bytes.
    fn bytes(&self) -> usize;
}

impl Weighed for ModelInput {
    fn bytes(&self) -> usize {
        self.content.bytes()
    }
}

/// What goes in, how it is asked, what comes out.
pub trait Operation: Sized + Send + Sync + 'static {
    /// What is computed on.
    type Input: Weighed + Clone + Send + Debug;
    /// What the client asks for.
    type Options: Clone + Send + Debug;
    /// What it gets.
    type Output: Send + Debug;
    /// What waits in the queue of a model that does this, perhaps beside other operations.
    type Queue: Work + From<TicketOf<Self>>;

    /// As how many inputs one counts, of a model whose requests share batches.
    fn rows(_input: &Self::Input) -> usize {
        1
    }

    /// What `output` is compared by with another version's answer, no more than [`Gist::MOST_BYTES`]; nothing where answers are not
    /// compared.
    fn gist(_output: &Self::Output) -> Option<Gist> {
        None
    }
}

/// One input for an operation.
#[derive(Debug)]
pub struct Request<Op: Operation> {
    /// What is computed on.
    pub input: Op::Input,
    /// What the client asked for.
    pub options: Op::Options,
}

impl<Op: Operation> Request<Op> {
    /// One for each of `inputs`, asked alike, and as how many inputs of a model of `spec` it counts.
    pub fn of_each(inputs: Vec<Op::Input>, options: &Op::Options, spec: &ModelSpec) -> Vec<(Self, usize)> {
        let shares = spec.manifest.shares_batches();
        let request = |input| {
            let rows = if shares { Op::rows(&input) } else { 1 };
            let options = options.clone();
            (Self { input, options }, rows)
        };
        inputs.into_iter().map(request).collect()
    }
}

/// A request of an operation on its way to a worker.
pub type TicketOf<Op> = Ticket<Request<Op>, <Op as Operation>::Output>;

/// Requests of one operation that are computed together.
pub(super) type Batch<'a, Op> = [Asked<'a, Request<Op>>];

/// An operation that is computed in batches.
pub(super) trait Batched: Operation {
    /// Computes a batch; one answer a request, in order.
    fn run(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Self>) -> Result<Vec<Result<Self::Output>>>;
}

/// The pictures of a batch as one tensor `[B, C, H, W]` on the device of `net`.
pub(super) fn pictures<Op>(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Op>) -> Result<tch::Tensor>
where
    Op: Operation<Input = ModelInput>,
{
    let inputs: Vec<&ModelInput> = batch.iter().map(|asked| &asked.input.input).collect();
    spec.batch(&inputs, net.device())
}

/// What `forward` answers for the pictures of a batch, whose sizes but for the batch never change.
///
/// # Errors
/// Those of [`Call::forward`] and [`ModelSpec::same_row`].
pub(super) fn answer<Op>(net: &dyn Call, spec: &ModelSpec, batch: &Batch<'_, Op>) -> Result<tch::Tensor>
where
    Op: Operation<Input = ModelInput>,
{
    let answer = net.forward(pictures(net, spec, batch)?)?;
    spec.same_row(&answer.size())?;
    check_rows("forward", &answer, batch.len())?;
    Ok(answer)
}

/// How a module breaks its task's contract.
pub(super) enum Breach {
    /// By what it answers, in words.
    Answer(String),
    /// By answering nothing: what was raised instead.
    Raised(Error),
}

impl From<String> for Breach {
    fn from(words: String) -> Self {
        Self::Answer(words)
    }
}

impl From<Error> for Breach {
    fn from(error: Error) -> Self {
        Self::Raised(error)
    }
}

/// What a task needs of a module.
pub(super) trait Contract: Sync {
    /// The methods of the module that the task calls; the first is given the pictures.
    fn methods(&self) -> &'static [&'static str] {
        &["forward"]
    }

    /// Runs a blank batch of `size`, and says how the answer breaks the contract, if it does.
    fn check(&self, net: &dyn Call, spec: &ModelSpec, size: usize) -> Result<(), Breach>;
}
