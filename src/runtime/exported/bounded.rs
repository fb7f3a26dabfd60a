//! A program that is called with nothing but what it was exported for.

use std::sync::Arc;

use tch::{Device, Tensor};
use torch_bridge::{Given, Layer, Run, Tap, Value};

use super::Bounds;
use crate::engine::{CorePermit, Share};
use crate::error::Result;
use crate::runtime::program::{Captured, Program, Transparent};

/// See the module's text.
#[derive(Debug)]
pub(in crate::runtime) struct Bounded<P: ?Sized> {
    bounds: Arc<Bounds>,
    program: Arc<P>,
}

impl Bounded<dyn Program> {
    /// `program`, bounded where there are bounds.
    pub(in crate::runtime) fn program(
        program: Arc<dyn Program>,
        bounds: Option<&Arc<Bounds>>,
    ) -> Arc<dyn Program> {
        match bounds {
            Some(bounds) => Arc::new(Self {
                bounds: Arc::clone(bounds),
                program,
            }),
            None => program,
        }
    }
}

impl Bounded<dyn Transparent> {
    /// As [`Bounded::program`].
    pub(in crate::runtime) fn transparent(
        program: Arc<dyn Transparent>,
        bounds: Option<&Arc<Bounds>>,
    ) -> Arc<dyn Transparent> {
        match bounds {
            Some(bounds) => Arc::new(Self {
                bounds: Arc::clone(bounds),
                program,
            }),
            None => program,
        }
    }
}

impl<P: Program + ?Sized> Program for Bounded<P> {
    fn call(&self, permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        self.bounds.check(method, inputs)?;
        self.program.call(permit, method, inputs)
    }

    fn device(&self) -> Device {
        self.program.device()
    }

    fn settle(&self, share: &Share, example: &dyn Fn(usize) -> Result<Tensor>) -> Result<()> {
        self.program.settle(share, example)
    }
}

impl Transparent for Bounded<dyn Transparent> {
    fn layers(&self, method: &str) -> Result<Vec<Layer>> {
        self.program.layers(method)
    }

    fn folded(&self, method: &str) -> Result<Vec<String>> {
        self.program.folded(method)
    }

    fn has_gradients(&self) -> bool {
        self.program.has_gradients()
    }

    fn capture(&self, method: &str, taps: &[Tap]) -> Result<Box<dyn Captured>> {
        Ok(Box::new(BoundedRun {
            bounds: Arc::clone(&self.bounds),
            method: method.to_owned(),
            captured: self.program.capture(method, taps)?,
        }))
    }
}

struct BoundedRun {
    bounds: Arc<Bounds>,
    method: String,
    captured: Box<dyn Captured>,
}

impl Captured for BoundedRun {
    fn run(&self, permit: &CorePermit<'_>, inputs: &[Value], given: Vec<Given>) -> Result<Run> {
        self.bounds.check(&self.method, inputs)?;
        self.captured.run(permit, inputs, given)
    }

    fn places(&self) -> &[usize] {
        self.captured.places()
    }
}
