//! The whole file.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use crate::archive::Archive;
use crate::graph::{self, Placed};
use crate::modules::Modules;
use crate::paths;
use crate::program::{Attribute, Exported, Id, Method, Step};
use crate::refused::{Refused, Result, excerpt};
use crate::schema::Document;
use crate::scopes::{self, Calls};
use crate::signature::{self, Inputs};
use crate::tree::Tree;
use crate::values::{Names, Values};
use crate::weights::{Records, Tables, Weight};

/// The version of the schema that is read.
const MAJOR: i64 = 8;

/// Programs that a file may have.
const MOST_PROGRAMS: usize = 64;

/// What torch.export.save calls the one program of a file.
const ONLY: &str = "model";

impl Exported {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// [`Refused`]: what it is instead, what cannot be true, or what is not computed here.
    pub fn read(file: &File) -> Result<Self> {
        let mut archive = Archive::open(file)?;
        let programs = archive.names("models/", ".json");
        if programs.is_empty() {
            let is_package = archive.has("data/aotinductor/");
            let what = if is_package {
                "a package of AOTInductor"
            } else {
                "it has no models"
            };
            return Err(Refused::Foreign(what.into()));
        }
        if programs.len() > MOST_PROGRAMS {
            return Err(Refused::damaged(format!("it has {} programs", programs.len())));
        }
        let documents = programs
            .iter()
            .map(|name| document(&mut archive, name).map(|document| (name, document)));
        let documents = documents.collect::<Result<Vec<_>>>()?;
        let mut read = documents
            .iter()
            .map(|(name, document)| Read::of(name, document, &mut archive))
            .collect::<Result<Vec<_>>>()?;
        if read.len() > 1 && !agree(&read, file)? {
            read.iter_mut().for_each(Read::set_apart);
        }
        joined(read)
    }
}

fn document(archive: &mut Archive<'_>, program: &str) -> Result<Document> {
    let document: Document = archive.json(&format!("models/{program}.json"))?;
    let version = &document.schema_version;
    if version.major != MAJOR {
        return Err(Refused::unsupported(format!(
            "the file has version {}.{} of torch.export's schema (PyTorch {}); version {MAJOR} is read, which PyTorch 2.6 \
             and later save: export the network with the PyTorch that the server is built on",
            version.major,
            version.minor,
            excerpt(&document.torch_version)
        )));
    }
    Ok(document)
}

/// A program on its own.
struct Read {
    inputs: Inputs,
    values: Values,
    steps: Vec<Placed>,
    answer: Tree<Option<Id>>,
    name: String,
    /// Their paths, as the file lists them.
    modules: Vec<String>,
}

impl Read {
    fn of(name: &str, document: &Document, archive: &mut Archive<'_>) -> Result<Self> {
        let tables = Tables::read(archive, name)?;
        let (mut names, mut values) = (Names::default(), Values::default());
        let inputs = signature::inputs(document, &tables, archive, (&mut names, &mut values))?;
        let (mut steps, given) = graph::steps(&document.graph_module.graph, &mut names, &mut values)?;
        refuse_changes(&steps, &inputs)?;
        let answer = signature::answer(document, given)?;
        let listed = document.graph_module.module_call_graph.iter();
        let listed: HashSet<&str> = listed.map(|entry| entry.fqn.as_str()).collect();
        let of_weights = inputs.weights.iter();
        let of_weights = of_weights
            .map(|(id, weight)| (*id, weight.path.as_str()))
            .collect();
        paths::complete(&mut steps, &listed, &of_weights);
        let paths = document
            .graph_module
            .module_call_graph
            .iter()
            .map(|entry| entry.fqn.clone());
        let called = steps
            .iter()
            .flat_map(|placed| placed.frames.iter().flatten())
            .map(|frame| frame.path.clone());
        let modules: Vec<String> = paths.chain(called).filter(|path| !path.is_empty()).collect();
        let weights = inputs.weights.iter().map(|(_, weight)| &weight.path);
        modules
            .iter()
            .chain(weights)
            .try_for_each(|path| well_formed(path))?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(is_word) {
            return Err(Refused::unsupported(format!(
                "the program {} has no name that a method can have (letters, digits, _)",
                excerpt(name)
            )));
        }
        let name = if name == ONLY { "forward" } else { name }.to_owned();
        Ok(Self {
            inputs,
            values,
            steps,
            answer,
            name,
            modules,
        })
    }

    /// Puts the modules and weights below a module of the method's name.
    fn set_apart(&mut self) {
        let below = |path: &str| format!("{}.{path}", self.name);
        for (_, weight) in &mut self.inputs.weights {
            weight.path = below(&weight.path);
        }
        for frame in self
            .steps
            .iter_mut()
            .flat_map(|placed| placed.frames.iter_mut().flatten())
        {
            frame.path = below(&frame.path);
        }
        self.modules = self
            .modules
            .iter()
            .map(|path| below(path))
            .chain([self.name.clone()])
            .collect();
    }

    fn into_method(
        mut self,
        modules: &Modules,
        calls: &mut Calls,
        place: &mut impl FnMut(Weight) -> usize,
    ) -> Method {
        for placed in &mut self.steps {
            placed.frames = placed.frames.take().map(|frames| modules.nested(frames));
        }
        let paths = self
            .inputs
            .weights
            .iter()
            .map(|(id, weight)| (*id, weight.path.clone()));
        let paths: HashMap<Id, String> = paths.collect();
        let outputs = self.answer.leaves().into_iter().flatten().copied().collect();
        let body = scopes::nest(self.steps, outputs, (&paths, &self.values), calls);
        let attributes = self.inputs.weights.into_iter();
        Method {
            name: self.name,
            arguments: self.inputs.arguments,
            answer: self.answer,
            body,
            attributes: attributes
                .map(|(id, weight)| Attribute {
                    id,
                    weight: place(weight),
                })
                .collect(),
            kinds: self.values.into_kinds(),
        }
    }
}

/// Whether a path can be that of an attribute.
fn well_formed(path: &str) -> Result<()> {
    let parts = path.split('.').count();
    if parts <= 128 && path.len() <= 4096 && path.split('.').all(|part| !part.is_empty()) {
        return Ok(());
    }
    Err(Refused::damaged(format!(
        "{} is no path of a module or a weight",
        excerpt(path)
    )))
}

/// A program as torch.export writes it changes its buffers in place.
fn refuse_changes(steps: &[Placed], inputs: &Inputs) -> Result<()> {
    for placed in steps {
        let Step::Operator(operator) = &placed.step else {
            continue;
        };
        let is_in_place = operator.name.ends_with('_') && !operator.name.ends_with("__");
        let written = operator
            .args
            .first()
            .filter(|_| is_in_place)
            .map(|(_, arg)| arg.values())
            .unwrap_or_default();
        if let Some((_, weight)) = inputs.weights.iter().find(|(id, _)| written.contains(id)) {
            return Err(signature::changes(&weight.path));
        }
    }
    Ok(())
}

/// Whether the programs are methods of one network: what has one path is one tensor.
fn agree(read: &[Read], file: &File) -> Result<bool> {
    let mut records = Records::open(file)?;
    let mut known: HashMap<&str, &Weight> = HashMap::new();
    for (_, weight) in read.iter().flat_map(|read| &read.inputs.weights) {
        let Some(other) = known
            .insert(&weight.path, weight)
            .filter(|other| !other.is_same_tensor(weight))
        else {
            continue;
        };
        if !other.has_same_view(weight) || records.bytes(other)? != records.bytes(weight)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn joined(read: Vec<Read>) -> Result<Exported> {
    let weights = read.iter().flat_map(|read| &read.inputs.weights);
    let around = weights.filter_map(|(_, weight)| weight.path.rsplit_once('.').map(|(module, _)| module));
    let named = read
        .iter()
        .flat_map(|read| read.modules.iter().map(String::as_str));
    let modules = Modules::of(named.chain(around))?;
    let mut weights: Vec<Weight> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut place = |weight: Weight| {
        *at.entry(weight.path.clone()).or_insert_with(|| {
            weights.push(weight);
            weights.len() - 1
        })
    };
    let mut calls = Calls::default();
    let methods = read
        .into_iter()
        .map(|each| each.into_method(&modules, &mut calls, &mut place))
        .collect();
    Ok(Exported {
        methods,
        weights,
        modules: modules.into_paths(),
    })
}
