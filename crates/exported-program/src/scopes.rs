//! From a flat list of steps to a tree of module calls.
//!
//! torch.export inlines every module and leaves a note at each node, which says in whose calls it stood. Consecutive nodes
//! of one call become a [`Call`] again: it takes what its steps read from outside, and gives what others read of it later,
//! which is what the module's `forward` returned. Calculations with sizes are shared among modules: each moves out to where
//! what it reads is known, so that it is no output of the module where it happened to stand first.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::graph::{Frame, Placed};
use crate::modules::lies_in;
use crate::program::{Arg, Body, Call, Id, Kind, Output, Step};
use crate::values::Values;

/// The path of each value that is a weight.
pub(crate) type Attributes = HashMap<Id, String>;

/// How often each module has been called so far, as a whole and in part, in all methods.
pub(crate) type Calls = HashMap<String, (usize, usize)>;

/// Nests `steps`, which are for `outputs`.
pub(crate) fn nest(
    steps: Vec<Placed>,
    outputs: Vec<Id>,
    (attributes, values): (&Attributes, &Values),
    calls: &mut Calls,
) -> Body {
    let mut last_read: HashMap<Id, usize> = HashMap::new();
    let mut last_of_key: HashMap<String, usize> = HashMap::new();
    for (index, placed) in steps.iter().enumerate() {
        for id in reads(&placed.step) {
            last_read.insert(id, index);
        }
        if !is_symbol(&placed.step) {
            for frame in placed.frames.iter().flatten() {
                last_of_key.insert(frame.key.clone(), index);
            }
        }
    }
    for id in &outputs {
        last_read.insert(*id, usize::MAX);
    }
    let mut nest = Nest {
        attributes,
        values,
        last_read,
        last_of_key,
        open: vec![Open::default()],
        calls,
        level: HashMap::new(),
    };
    for (index, placed) in steps.into_iter().enumerate() {
        nest.place(index, placed);
    }
    nest.close_to(0, usize::MAX);
    let top = nest.open.pop().unwrap_or_default();
    Body {
        steps: top.steps,
        outputs,
    }
}

/// A call whose steps are not all known yet.
#[derive(Default)]
struct Open {
    frame: Option<Frame>,
    steps: Vec<Step>,
    defined: Vec<Id>,
}

struct Nest<'a> {
    attributes: &'a Attributes,
    values: &'a Values,
    /// The step that reads a value last.
    last_read: HashMap<Id, usize>,
    last_of_key: HashMap<String, usize>,
    /// From the outside; the first is the whole network.
    open: Vec<Open>,
    calls: &'a mut Calls,
    /// In which of the open calls a value is known.
    level: HashMap<Id, usize>,
}

impl Nest<'_> {
    fn place(&mut self, index: usize, placed: Placed) {
        let common = placed
            .frames
            .as_ref()
            .map_or(self.open.len() - 1, |frames| self.common(frames));
        if is_symbol(&placed.step) {
            let level = reads(&placed.step)
                .iter()
                .map(|id| self.level_of(*id))
                .max()
                .unwrap_or(0);
            if level <= common {
                return self.put(level, placed.step);
            }
        }
        if let Some(frames) = placed.frames {
            self.close_to(common, index);
            for frame in frames.into_iter().skip(common) {
                self.open.push(Open {
                    frame: Some(frame),
                    ..Open::default()
                });
            }
        }
        self.put(self.open.len() - 1, placed.step);
    }

    /// How many of the open calls, from the outside, are those of `frames`.
    fn common(&self, frames: &[Frame]) -> usize {
        let open = self.open.iter().skip(1).filter_map(|open| open.frame.as_ref());
        open.zip(frames)
            .take_while(|(open, frame)| open.key == frame.key)
            .count()
    }

    fn level_of(&self, id: Id) -> usize {
        self.level.get(&id).copied().unwrap_or(0)
    }

    fn put(&mut self, level: usize, step: Step) {
        for id in writes(&step) {
            self.level.insert(id, level);
            self.open[level].defined.push(id);
        }
        self.open[level].steps.push(step);
    }

    /// Closes the calls further in than `depth`, before the step `index`.
    fn close_to(&mut self, depth: usize, index: usize) {
        while self.open.len() > depth + 1 {
            let Some(Open {
                frame: Some(frame),
                steps,
                defined,
            }) = self.open.pop()
            else {
                return;
            };
            let level = self.open.len() - 1;
            let is_read_later = |id: &Id| self.last_read.get(id).is_some_and(|last| *last >= index);
            let outputs: Vec<Id> = defined.iter().copied().filter(is_read_later).collect();
            for id in &outputs {
                self.level.insert(*id, level);
            }
            self.open[level].defined.extend(&outputs);
            if outputs.iter().all(|id| self.values.kind(*id) != Kind::Tensor) {
                // Nothing that a hook would see.
                self.open[level]
                    .defined
                    .extend(defined.iter().filter(|id| !outputs.contains(id)));
                self.open[level].steps.extend(steps);
                continue;
            }
            let call = self.call(frame, Body { steps, outputs }, &defined, index);
            self.open[level].steps.push(Step::Call(call));
        }
    }

    fn call(&mut self, frame: Frame, body: Body, defined: &[Id], index: usize) -> Call {
        let defined: HashSet<Id> = defined.iter().copied().collect();
        let mut seen = BTreeSet::new();
        let (mut own, mut inputs) = (Vec::new(), Vec::new());
        for id in body.steps.iter().flat_map(reads) {
            if defined.contains(&id) || !seen.insert(id) {
                continue;
            }
            match self.attributes.get(&id) {
                Some(path) if lies_in(path, &frame.path) => own.push(id),
                _ => inputs.push(id),
            }
        }
        let (whole, parts) = self.calls.entry(frame.path.clone()).or_default();
        // A call whose steps go on later has its output then.
        let goes_on = self
            .last_of_key
            .get(&frame.key)
            .is_some_and(|last| *last >= index);
        let count = if goes_on { parts } else { whole };
        let method = match (goes_on, *count) {
            (false, 0) => "forward".to_owned(),
            (false, count) => format!("forward{count}"),
            (true, count) => format!("part{count}"),
        };
        *count += 1;
        Call {
            path: frame.path,
            class: frame.class,
            method,
            body,
            attributes: own,
            inputs,
        }
    }
}

fn is_symbol(step: &Step) -> bool {
    matches!(step, Step::Symbol(_))
}

/// The values from outside that a step reads.
pub(crate) fn reads(step: &Step) -> Vec<Id> {
    match step {
        Step::Operator(operator) => operator.args.iter().flat_map(|(_, arg)| arg.values()).collect(),
        Step::Symbol(symbol) => symbol.args.iter().flat_map(Arg::values).collect(),
        Step::Detach { from, .. } | Step::Same { from, .. } => vec![*from],
        Step::Check { condition, .. } => condition.values(),
        Step::Call(call) => call.attributes.iter().chain(&call.inputs).copied().collect(),
        Step::Branch(branch) => {
            let mut ids = vec![branch.condition];
            for body in [&branch.yes, &branch.no] {
                let made: HashSet<Id> = body.steps.iter().flat_map(writes).collect();
                let read = body
                    .steps
                    .iter()
                    .flat_map(reads)
                    .chain(body.outputs.iter().copied());
                ids.extend(read.filter(|id| !made.contains(id)));
            }
            ids
        }
    }
}

/// The values that a step makes, for those behind it.
pub(crate) fn writes(step: &Step) -> Vec<Id> {
    match step {
        Step::Operator(operator) => operator
            .outputs
            .iter()
            .flat_map(|output| match output {
                Output::One(id) => vec![*id],
                Output::Many(ids) => ids.clone(),
                Output::Nothing => Vec::new(),
            })
            .collect(),
        Step::Symbol(symbol) => vec![symbol.output],
        Step::Detach { to, .. } | Step::Same { to, .. } => vec![*to],
        Step::Check { .. } => Vec::new(),
        Step::Call(call) => call.body.outputs.clone(),
        Step::Branch(branch) => branch.outputs.clone(),
    }
}
