//! Formats that do what the server's own do, and look at every pass: that it holds cores, and what it costs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lucarne::engine::CorePermit;
use lucarne::engine::context::Cancellation;
use lucarne::engine::cores::Cores;
use lucarne::error::Result;
use lucarne::explain::Cost;
use lucarne::runtime::{
    Artifact, Captured, Formats, Native, Opened, Program, Requirements, Selection, Transparent,
};
use tch::{Device, Tensor};
use torch_bridge::{Given, Layer, Run, Tap, Value};

/// What was seen of passes.
#[derive(Debug)]
pub struct Tally {
    cores: Arc<Cores>,
    forward: AtomicUsize,
    backward: AtomicUsize,
    /// After so many images forward, this request is given up.
    gives_up: Mutex<Option<(usize, Cancellation)>>,
}

impl Tally {
    pub fn new(cores: &Arc<Cores>) -> Arc<Self> {
        Arc::new(Self {
            cores: Arc::clone(cores),
            forward: AtomicUsize::new(0),
            backward: AtomicUsize::new(0),
            gives_up: Mutex::new(None),
        })
    }

    /// Images since the last call that went forward, and those that could be differentiated.
    pub fn take(&self) -> Cost {
        Cost {
            forward: self.forward.swap(0, Ordering::SeqCst),
            backward: self.backward.swap(0, Ordering::SeqCst),
        }
    }

    /// Gives a request up after so many images.
    pub fn give_up_after(&self, images: usize, request: &Cancellation) {
        *self.gives_up.lock().expect("no panic under it") = Some((images, request.clone()));
    }

    /// One pass; `is_first` where it is the method that sees the pictures.
    fn pass(&self, permit: &CorePermit<'_>, inputs: &[Value], is_first: bool) {
        assert!(permit.count() > 0, "a pass holds no core");
        assert!(
            self.cores.in_use() >= permit.count(),
            "a permit that nobody granted"
        );
        if !is_first {
            return;
        }
        let tensors: Vec<&Tensor> = inputs.iter().flat_map(Value::tensors).collect();
        let images = match inputs.first() {
            Some(Value::List(pictures)) => pictures.len(),
            _ => tensors.first().map_or(0, |tensor| tensor.size()[0] as usize),
        };
        let seen = self.forward.fetch_add(images, Ordering::SeqCst) + images;
        if tensors.iter().any(|tensor| tensor.requires_grad()) {
            self.backward.fetch_add(images, Ordering::SeqCst);
        }
        if let Some((limit, request)) = &*self.gives_up.lock().expect("no panic under it")
            && seen >= *limit
        {
            request.cancel();
        }
    }
}

/// The server's own formats, whose programs are counted.
#[derive(Debug)]
pub struct Counting(pub Arc<Tally>);

impl Formats for Counting {
    fn open(&self, artifact: &Artifact, wanted: &Requirements<'_>) -> Result<Opened> {
        let opened = Native.open(artifact, wanted)?;
        let program = Counted {
            inner: opened.program,
            tally: Arc::clone(&self.0),
        };
        Ok(Opened {
            program: Arc::new(program),
            ..opened
        })
    }

    fn expose(
        &self,
        artifact: &Artifact,
        device: Device,
        selection: Option<&Selection>,
    ) -> Result<Arc<dyn Transparent>> {
        Ok(Arc::new(Counted {
            inner: Native.expose(artifact, device, selection)?,
            tally: Arc::clone(&self.0),
        }))
    }
}

/// A program whose passes are looked at.
#[derive(Debug)]
struct Counted<P: ?Sized> {
    tally: Arc<Tally>,
    inner: Arc<P>,
}

/// Whether a method is the one that sees the pictures.
fn is_first(method: &str) -> bool {
    matches!(method, "forward" | "start" | "encode")
}

impl<P: Program + ?Sized> Program for Counted<P> {
    fn call(&self, permit: &CorePermit<'_>, method: &str, inputs: &[Value]) -> Result<Value> {
        self.tally.pass(permit, inputs, is_first(method));
        self.inner.call(permit, method, inputs)
    }

    fn device(&self) -> Device {
        self.inner.device()
    }
}

impl Transparent for Counted<dyn Transparent> {
    fn layers(&self, method: &str) -> Result<Vec<Layer>> {
        self.inner.layers(method)
    }

    fn has_gradients(&self) -> bool {
        self.inner.has_gradients()
    }

    fn weights(&self) -> Result<Vec<String>> {
        self.inner.weights()
    }

    fn shuffled(&self, weights: &[&str], seed: u32) -> Result<Option<Arc<dyn Transparent>>> {
        let counted = |inner: Arc<dyn Transparent>| -> Arc<dyn Transparent> {
            Arc::new(Counted {
                inner,
                tally: Arc::clone(&self.tally),
            })
        };
        Ok(self.inner.shuffled(weights, seed)?.map(counted))
    }

    fn capture(&self, method: &str, taps: &[Tap]) -> Result<Box<dyn Captured>> {
        Ok(Box::new(CountedCapture {
            inner: self.inner.capture(method, taps)?,
            is_first: is_first(method),
            tally: Arc::clone(&self.tally),
        }))
    }
}

struct CountedCapture {
    inner: Box<dyn Captured>,
    is_first: bool,
    tally: Arc<Tally>,
}

impl Captured for CountedCapture {
    fn run(&self, permit: &CorePermit<'_>, inputs: &[Value], given: Vec<Given>) -> Result<Run> {
        self.tally.pass(permit, inputs, self.is_first);
        self.inner.run(permit, inputs, given)
    }

    fn places(&self) -> &[usize] {
        self.inner.places()
    }
}
