//! `use` declarations, leaf by leaf.

use syn::ext::IdentExt;
use syn::{ItemUse, UseTree, Visibility};

/// The segments of a path: `["crate", "engine", "Queue"]`. A path with a leading `::` starts with an empty segment, and
/// that of a glob ends with `*`.
pub type Segments = Vec<String>;

/// One name that a `use` declaration brings in.
pub struct Leaf {
    /// What it is called here: `*` for a glob, `_` for a trait without a name.
    pub name: String,
    /// What it names.
    pub path: Segments,
}

/// Every leaf of a declaration.
pub fn leaves(item: &ItemUse) -> Vec<Leaf> {
    let start = item.leading_colon.iter().map(|_| String::new()).collect();
    let mut found = Vec::new();
    collect(&item.tree, start, &mut found);
    found
}

fn collect(tree: &UseTree, mut path: Segments, found: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.unraw().to_string());
            collect(&step.tree, path, found);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                collect(tree, path.clone(), found);
            }
        }
        UseTree::Name(name) => {
            extend(&mut path, name.ident.unraw().to_string());
            found.push(Leaf {
                name: path.last().cloned().unwrap_or_default(),
                path,
            });
        }
        UseTree::Rename(rename) => {
            extend(&mut path, rename.ident.unraw().to_string());
            let name = rename.rename.unraw().to_string();
            found.push(Leaf { name, path });
        }
        UseTree::Glob(_) => {
            path.push("*".into());
            found.push(Leaf {
                name: "*".into(),
                path,
            });
        }
    }
}

/// Adds the last segment; `a::{self}` is `a`.
fn extend(path: &mut Segments, last: String) {
    if last != "self" || path.is_empty() {
        path.push(last);
    }
}

/// Whether a declaration hands its names on beyond its own module.
pub fn is_reexport(item: &ItemUse) -> bool {
    match &item.vis {
        Visibility::Public(_) => true,
        Visibility::Restricted(restricted) => !restricted.path.is_ident("self"),
        Visibility::Inherited => false,
    }
}
