//! The names of values in a graph, and what they stand for.

use std::collections::HashMap;

use crate::program::{Id, Kind};
use crate::refused::{Refused, Result, excerpt};

/// Values that a method may have.
const MOST: usize = 1 << 22;

/// The kind of each value of a method.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<Kind>);

impl Values {
    pub(crate) fn fresh(&mut self, kind: Kind) -> Result<Id> {
        if self.0.len() == MOST {
            return Err(Refused::damaged(format!("a method has more than {MOST} values")));
        }
        self.0.push(kind);
        Ok(self.0.len() - 1)
    }

    pub(crate) fn kind(&self, id: Id) -> Kind {
        self.0[id]
    }

    pub(crate) fn into_kinds(self) -> Vec<Kind> {
        self.0
    }
}

/// The names of one graph.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(HashMap<&'a str, Id>);

impl<'a> Names<'a> {
    /// Has `name` stand for `id`.
    pub(crate) fn bind(&mut self, name: &'a str, id: Id) -> Result<()> {
        match self.0.insert(name, id) {
            None => Ok(()),
            Some(_) => Err(Refused::damaged(format!(
                "two values are called {}",
                excerpt(name)
            ))),
        }
    }

    /// A new value of this name.
    pub(crate) fn define(&mut self, name: &'a str, kind: Kind, values: &mut Values) -> Result<Id> {
        let id = values.fresh(kind)?;
        self.bind(name, id)?;
        Ok(id)
    }

    /// The value of this name, which was made before: so there is no circle.
    pub(crate) fn find(&self, name: &str) -> Result<Id> {
        let missing = || Refused::damaged(format!("the value {} is read before it is made", excerpt(name)));
        self.0.get(name).copied().ok_or_else(missing)
    }

    /// The same, of a value of this kind.
    pub(crate) fn find_kind(&self, name: &str, kind: Kind, values: &Values) -> Result<Id> {
        let id = self.find(name)?;
        let found = values.kind(id);
        if found == kind {
            return Ok(id);
        }
        let name = excerpt(name);
        Err(Refused::damaged(format!(
            "the value {name} is a {found:?}, and is read as a {kind:?}"
        )))
    }
}
