//! The modules of a crate, and the way from a path to the file that defines what it names.

use std::collections::{BTreeMap, BTreeSet};

use syn::ext::IdentExt;
use syn::{File, Item};

use crate::test_code::{attributes, is_test};
use crate::uses::{Leaf, Segments, leaves};

/// Texts of sources by their path below `src/`.
pub type Sources = BTreeMap<String, String>;

/// One source.
pub struct SourceFile {
    /// Below `src/`.
    pub path: String,
    /// The module that it is.
    pub module: Segments,
    /// What it says.
    pub syntax: File,
}

/// All modules that are no test code.
pub struct Modules {
    /// Their sources.
    pub files: Vec<SourceFile>,
    known: BTreeMap<Segments, Module>,
}

/// A module, of a file or of braces within one.
struct Module {
    file: String,
    items: BTreeSet<String>,
    imports: Vec<Leaf>,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A module itself.
    Module(Segments),
    /// Something that this module defines.
    Item(Segments),
    /// Something of another crate, or of the language.
    Outside(Segments),
}

/// A path that was followed to its end.
pub struct Found {
    /// What it names.
    pub target: Target,
    /// Modules whose imports and re-exports were on the way.
    pub through: Vec<Segments>,
}

impl Modules {
    /// # Errors
    /// Says which file is no Rust, and where.
    pub fn parse(sources: &Sources) -> Result<Self, String> {
        let mut files = Vec::new();
        for (path, text) in sources {
            let syntax =
                syn::parse_file(text).map_err(|error| format!("src/{path} cannot be read: {error}"))?;
            files.push(SourceFile {
                path: path.clone(),
                module: module_of(path),
                syntax,
            });
        }
        let mut tests = Vec::new();
        for file in &files {
            test_modules(&file.module, &file.syntax.items, &mut tests);
        }
        files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
        let mut known = BTreeMap::new();
        for file in &files {
            add(&mut known, &file.path, &file.module, &file.syntax.items);
        }
        Ok(Self { files, known })
    }

    /// The file of a module.
    pub fn file(&self, module: &[String]) -> Option<&str> {
        self.known.get(module).map(|module| module.file.as_str())
    }

    /// Follows `path`, as the module `from` says it, through imports and re-exports.
    pub fn resolve(&self, from: &[String], path: &[String]) -> Found {
        let mut search = Search {
            known: &self.known,
            seen: BTreeSet::new(),
            through: Vec::new(),
        };
        let target = search.find(from, path);
        Found {
            target: target.unwrap_or_else(|| Target::Outside(path.to_vec())),
            through: search.through,
        }
    }
}

/// `engine/queue.rs` is `engine::queue`, `engine/mod.rs` is `engine`, and `lib.rs` is the root.
fn module_of(path: &str) -> Segments {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Segments = stem.split('/').map(str::to_owned).collect();
    if stem == "lib" || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn child(module: &[String], name: &str) -> Segments {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// Modules of `items` that are declared for tests alone.
fn test_modules(module: &[String], items: &[Item], found: &mut Vec<Segments>) {
    for item in items {
        let Item::Mod(inner) = item else { continue };
        let path = child(module, &inner.ident.unraw().to_string());
        if is_test(&inner.attrs) {
            found.push(path);
        } else if let Some((_, items)) = &inner.content {
            test_modules(&path, items, found);
        }
    }
}

fn add(known: &mut BTreeMap<Segments, Module>, file: &str, path: &[String], items: &[Item]) {
    let mut module = Module {
        file: file.to_owned(),
        items: BTreeSet::new(),
        imports: Vec::new(),
    };
    for item in items.iter().filter(|item| !is_test(attributes(item))) {
        match item {
            Item::Use(item) => module.imports.extend(leaves(item)),
            Item::Mod(inner) => {
                if let Some((_, items)) = &inner.content {
                    add(known, file, &child(path, &inner.ident.unraw().to_string()), items);
                }
            }
            Item::ExternCrate(item) => {
                let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
                module.imports.push(Leaf {
                    name: name.unraw().to_string(),
                    path: vec![String::new(), item.ident.unraw().to_string()],
                });
            }
            item => module.items.extend(defined(item)),
        }
    }
    known.insert(path.to_vec(), module);
}

/// The name that an item defines.
pub fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.unraw().to_string())
}

/// One path on its way. Globs may lead in circles, so that each module is asked once for a name.
struct Search<'a> {
    known: &'a BTreeMap<Segments, Module>,
    seen: BTreeSet<(Segments, Segments)>,
    through: Vec<Segments>,
}

impl Search<'_> {
    /// Looks `path` up as the module `from` says it.
    fn find(&mut self, from: &[String], path: &[String]) -> Option<Target> {
        let mut at = from.to_vec();
        let mut rest = path;
        while let Some((head, tail)) = rest.split_first() {
            match head.as_str() {
                "" => return Some(Target::Outside(tail.to_vec())),
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ => break,
            }
            rest = tail;
        }
        let found = self.inside(&at, rest);
        let is_ours = rest.len() < path.len();
        // What a macro defines is not to be seen; then the module counts that the path names.
        found.or_else(|| is_ours.then_some(Target::Item(at)))
    }

    /// Looks `path` up among what `module` has.
    fn inside(&mut self, module: &[String], path: &[String]) -> Option<Target> {
        let Some((name, rest)) = path.split_first().filter(|(name, _)| *name != "*") else {
            return Some(Target::Module(module.to_vec()));
        };
        let below = child(module, name);
        let is_module = self.known.contains_key(&below);
        if is_module && !rest.is_empty() {
            return self.inside(&below, rest).or(Some(Target::Item(below)));
        }
        let known = self.known;
        let here = known.get(module);
        if here.is_some_and(|here| here.items.contains(name)) {
            return Some(Target::Item(module.to_vec()));
        }
        let is_new = self.seen.insert((module.to_vec(), path.to_vec()));
        let imported = here
            .filter(|_| is_new)
            .and_then(|here| self.imported(here, module, path));
        imported.or(is_module.then_some(Target::Module(below)))
    }

    /// Looks `path` up among what `module` imports: by name, then by glob.
    fn imported(&mut self, here: &Module, module: &[String], path: &[String]) -> Option<Target> {
        let (name, rest) = path.split_first()?;
        if let Some(leaf) = here.imports.iter().find(|leaf| leaf.name == *name) {
            let whole: Segments = leaf.path.iter().chain(rest).cloned().collect();
            // `use async_trait::async_trait;` is of a crate: the name that it brings does not lead to itself.
            let is_of_crate =
                leaf.path.first() == Some(name) && !self.known.contains_key(&child(module, name));
            let found = if is_of_crate {
                None
            } else {
                self.find(module, &whole)
            };
            let found = found.unwrap_or(Target::Outside(whole));
            self.through.push(module.to_vec());
            return Some(found);
        }
        for glob in here.imports.iter().filter(|leaf| leaf.name == "*") {
            let Some(Target::Module(other)) = self.find(module, &glob.path) else {
                continue;
            };
            if let Some(found) = self.inside(&other, path) {
                self.through.push(module.to_vec());
                return Some(found);
            }
        }
        None
    }
}
