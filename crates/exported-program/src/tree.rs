//! How nested arguments and answers lie in a flat list: PyTorch's pytree, as JSON (`torch/utils/_pytree.py`, protocol 1).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::refused::{Refused, Result, excerpt};
use crate::schema::NamedTupleDef;

/// Levels that a nested answer may have.
const DEEPEST: usize = 32;

/// Something nested, with a `T` at each end.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<T> {
    /// An end.
    Leaf(T),
    /// A list.
    List(Vec<Tree<T>>),
    /// A tuple.
    Tuple(Vec<Tree<T>>),
    /// A dict, a named tuple, a data class or an output class of transformers: what has names.
    Dict(Vec<(Key, Tree<T>)>),
}

/// A name in a [`Tree::Dict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
}

impl<T> Tree<T> {
    /// Its ends, in order.
    pub fn leaves(&self) -> Vec<&T> {
        match self {
            Self::Leaf(leaf) => vec![leaf],
            Self::List(items) | Self::Tuple(items) => items.iter().flat_map(Self::leaves).collect(),
            Self::Dict(items) => items.iter().flat_map(|(_, item)| item.leaves()).collect(),
        }
    }

    /// The same tree with other ends.
    pub(crate) fn map<U>(self, to: &mut impl FnMut(T) -> U) -> Tree<U> {
        let all = |items: Vec<Self>, to: &mut _| items.into_iter().map(|item| item.map(to)).collect();
        match self {
            Self::Leaf(leaf) => Tree::Leaf(to(leaf)),
            Self::List(items) => Tree::List(all(items, to)),
            Self::Tuple(items) => Tree::Tuple(all(items, to)),
            Self::Dict(items) => {
                Tree::Dict(items.into_iter().map(|(key, item)| (key, item.map(to))).collect())
            }
        }
    }

    /// Without the ends that are nothing, and without what holds nothing else; nothing where all is nothing.
    pub(crate) fn without<U>(self, keep: &impl Fn(T) -> Option<U>) -> Option<Tree<U>> {
        let all = |items: Vec<Self>| -> Vec<Tree<U>> {
            items.into_iter().filter_map(|item| item.without(keep)).collect()
        };
        match self {
            Self::Leaf(leaf) => keep(leaf).map(Tree::Leaf),
            Self::List(items) => Some(all(items)).filter(|items| !items.is_empty()).map(Tree::List),
            Self::Tuple(items) => Some(all(items))
                .filter(|items| !items.is_empty())
                .map(Tree::Tuple),
            Self::Dict(items) => {
                let kept = items
                    .into_iter()
                    .filter_map(|(key, item)| Some((key, item.without(keep)?)));
                Some(kept.collect::<Vec<_>>())
                    .filter(|items| !items.is_empty())
                    .map(Tree::Dict)
            }
        }
    }
}

/// A `TreeSpec`.
#[derive(Debug, Deserialize)]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    context: Option<String>,
    children_spec: Vec<Spec>,
}

/// Reads a tree's JSON, whose ends are numbered in order.
pub(crate) fn parse(text: &str, tuples: &HashMap<String, NamedTupleDef>) -> Result<Tree<usize>> {
    let damaged = |why: String| Refused::damaged(format!("a tree of arguments or answers: {why}"));
    let (protocol, spec): (i64, Spec) =
        serde_json::from_str(text).map_err(|e| damaged(excerpt(&e.to_string())))?;
    if protocol != 1 {
        return Err(damaged(format!("protocol {protocol}")));
    }
    Reader { tuples, next: 0 }.tree(&spec, 0)
}

struct Reader<'a> {
    tuples: &'a HashMap<String, NamedTupleDef>,
    next: usize,
}

impl Reader<'_> {
    fn tree(&mut self, spec: &Spec, depth: usize) -> Result<Tree<usize>> {
        if depth > DEEPEST {
            return Err(Refused::damaged(format!(
                "more than {DEEPEST} levels of arguments or answers"
            )));
        }
        let Some(kind) = &spec.kind else {
            self.next += 1;
            return Ok(Tree::Leaf(self.next - 1));
        };
        let children = spec.children_spec.iter().map(|child| self.tree(child, depth + 1));
        let children = children.collect::<Result<Vec<_>>>()?;
        Ok(match kind.as_str() {
            "builtins.list" | "collections.deque" => Tree::List(children),
            "builtins.tuple" => Tree::Tuple(children),
            _ => match self.names(spec).filter(|names| names.len() == children.len()) {
                Some(names) => Tree::Dict(names.into_iter().zip(children).collect()),
                None if children.is_empty() => Tree::Tuple(children),
                None => {
                    let kind = excerpt(kind);
                    return Err(Refused::unsupported(format!(
                        "what {kind} holds has no names in the file; answer a tuple or a dict"
                    )));
                }
            },
        })
    }

    /// The names of what a node holds: the keys of a dict, the fields of a class.
    fn names(&self, spec: &Spec) -> Option<Vec<Key>> {
        let context = spec.context.as_deref()?;
        if spec.kind.as_deref() == Some("collections.namedtuple") {
            let fields = &self.tuples.get(context)?.field_names;
            return Some(fields.iter().cloned().map(Key::Text).collect());
        }
        match (spec.kind.as_deref()?, serde_json::from_str(context).ok()?) {
            (_, Value::Object(of_default_dict)) => keys(of_default_dict.get("dict_context")?),
            (_, context) => keys(&context),
        }
    }
}

/// A list of keys, or of what was set in a data class and what was not.
fn keys(context: &Value) -> Option<Vec<Key>> {
    let items = context.as_array()?;
    if let Some(set) = items.first().filter(|first| first.is_array()) {
        return keys(set);
    }
    let key = |item: &Value| match item {
        Value::String(text) => Some(Key::Text(text.clone())),
        Value::Number(number) => number.as_i64().map(Key::Int),
        _ => None,
    };
    items.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &str) -> Result<Tree<usize>> {
        let fields = NamedTupleDef {
            field_names: vec!["mu".into(), "variance".into()],
        };
        parse(
            &format!("[1, {spec}]"),
            &HashMap::from([("models.Latent".to_owned(), fields)]),
        )
    }

    const LEAF: &str = r#"{"type": null, "context": null, "children_spec": []}"#;

    fn node(kind: &str, context: &str, children: usize) -> String {
        let context = Value::String(context.into());
        let children = vec![LEAF; children].join(", ");
        format!(r#"{{"type": "{kind}", "context": {context}, "children_spec": [{children}]}}"#)
    }

    #[test]
    fn classes_give_their_names() {
        let named = |names: [&str; 2]| {
            let name = |(at, name): (usize, &str)| (Key::Text(name.into()), Tree::Leaf(at));
            Tree::Dict(names.into_iter().enumerate().map(name).collect())
        };
        let dict = read(&node("builtins.dict", r#"["logits", "boxes"]"#, 2));
        assert_eq!(dict.expect("a dict"), named(["logits", "boxes"]));
        let output = read(&node(
            "transformers.modeling_outputs.DetrOutput",
            r#"["logits", "boxes"]"#,
            2,
        ));
        assert_eq!(output.expect("an output"), named(["logits", "boxes"]));
        let class = read(&node("models.Out", r#"[["logits", "boxes"], ["loss"]]"#, 2));
        assert_eq!(class.expect("a data class"), named(["logits", "boxes"]));
        let tuple = read(&node("collections.namedtuple", "models.Latent", 2));
        assert_eq!(tuple.expect("a named tuple"), named(["mu", "variance"]));
        let whole = read(&node("builtins.dict", "[0]", 1));
        assert_eq!(
            whole.expect("a dict"),
            Tree::Dict(vec![(Key::Int(0), Tree::Leaf(0))])
        );
    }

    #[test]
    fn trees_that_lie_are_refused() {
        assert!(
            read(&node("builtins.dict", r#"["one"]"#, 2)).is_err(),
            "a name is missing"
        );
        assert!(read(&node("models.Out", "null", 1)).is_err(), "no names");
        assert!(parse("[2, {}]", &HashMap::new()).is_err());
        let mut deep = LEAF.to_owned();
        for _ in 0..40 {
            deep = format!(r#"{{"type": "builtins.list", "context": "null", "children_spec": [{deep}]}}"#);
        }
        assert!(read(&deep).is_err(), "40 levels");
    }
}
