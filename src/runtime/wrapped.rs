//! A program with something that is done around each of its passes.

use std::fmt::Debug;
use std::sync::Arc;

use tch::{Device, Tensor};
use torch_bridge::{Given, Layer, Run, Tap, Value};

use super::program::{Captured, Program, Transparent};
use crate::engine::{CorePermit, Share};
use crate::error::Result;

/// What is done around a pass.
pub(super) trait Around: Clone + Debug + Send + Sync + 'static {
    /// Looks at what `method` is given.
    fn before(&self, _method: &str, _inputs: &[Value]) -> Result<()> {
        Ok(())
    }

    /// Makes the answer of what a method answered.
    fn after(&self, answer: Value) -> Result<Value> {
        Ok(answer)
    }
}

#[derive(Debug)]
struct Wrapped<A, P: ?Sized> {
    around: A,
    program: Arc<P>,
}

/// `program` with what is done around it, if anything is.
pub(super) fn program(program: Arc<dyn Program>, around: Option<&impl Around>) -> Arc<dyn Program> {
    match around.cloned() {
        Some(around) => Arc::new(Wrapped { around, program }),
        None => program,
    }
}

/// The same of a program whose layers can be looked at.
pub(super) fn transparent(
    program: Arc<dyn Transparent>,
    around: Option<&impl Around>,
) -> Arc<dyn Transparent> {
    match around.cloned() {
        Some(around) => Arc::new(Wrapped { around, program }),
        None => program,
    }
}

impl<A: Around, P: Program + ?Sized> Program for Wrapped<A, P> {
    fn call(&self, permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        self.around.before(method, inputs)?;
        self.around.after(self.program.call(permit, method, inputs)?)
    }

    fn device(&self) -> Device {
        self.program.device()
    }

    fn settle(&self, share: &Share, example: &dyn Fn(usize) -> Result<Tensor>) -> Result<()> {
        self.program.settle(share, example)
    }
}

impl<A: Around> Transparent for Wrapped<A, dyn Transparent> {
    fn layers(&self, method: &str) -> Result<Vec<Layer>> {
        self.program.layers(method)
    }

    fn folded(&self, method: &str) -> Result<Vec<String>> {
        self.program.folded(method)
    }

    fn has_gradients(&self) -> bool {
        self.program.has_gradients()
    }

    fn weights(&self) -> Result<Vec<String>> {
        self.program.weights()
    }

    fn shuffled(&self, weights: &[&str], seed: u32) -> Result<Option<Arc<dyn Transparent>>> {
        let copy = self.program.shuffled(weights, seed)?;
        Ok(copy.map(|copy| transparent(copy, Some(&self.around))))
    }

    fn capture(&self, method: &str, taps: &[Tap]) -> Result<Box<dyn Captured>> {
        Ok(Box::new(WrappedRun {
            around: self.around.clone(),
            method: method.to_owned(),
            captured: self.program.capture(method, taps)?,
        }))
    }
}

struct WrappedRun<A> {
    around: A,
    method: String,
    captured: Box<dyn Captured>,
}

impl<A: Around> Captured for WrappedRun<A> {
    fn run(&self, permit: &CorePermit<'_>, inputs: &[Value], given: Vec<Given>) -> Result<Run> {
        self.around.before(&self.method, inputs)?;
        let run = self.captured.run(permit, inputs, given)?;
        Ok(Run {
            output: self.around.after(run.output)?,
            ..run
        })
    }

    fn places(&self) -> &[usize] {
        self.captured.places()
    }
}
