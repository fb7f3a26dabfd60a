//! Circles in a graph of files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which file needs which, and the names by which it does.
#[derive(Default)]
pub struct Graph(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Graph {
    /// `from` names something of `to`.
    pub fn add(&mut self, from: &str, to: &str, name: String) {
        let edges = self.0.entry(from.to_owned()).or_default();
        edges.entry(to.to_owned()).or_default().insert(name);
    }

    /// For each edge that lies on a circle, the shortest circle through it; each circle once.
    pub fn circles(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for (from, edges) in &self.0 {
            for to in edges.keys() {
                if let Some(mut way) = self.way(to, from) {
                    let first = way
                        .iter()
                        .min()
                        .and_then(|least| way.iter().position(|file| file == least));
                    way.rotate_left(first.unwrap_or(0));
                    found.insert(way);
                }
            }
        }
        found
    }

    /// The names that lead from one file to another: `super::queue::Queue` stands for `Queue` and `Queue::new` too.
    pub fn names(&self, from: &str, to: &str) -> Vec<&str> {
        let Some(names) = self.0.get(from).and_then(|edges| edges.get(to)) else {
            return Vec::new();
        };
        let stands_for = |long: &str, short: &str| {
            let last = long.rsplit_once("::").map(|(_, last)| last);
            long != short && last == short.split("::").next()
        };
        let is_covered = |short: &str| names.iter().any(|long| stands_for(long, short));
        let told = names.iter().filter(|name| !is_covered(name));
        told.map(String::as_str).collect()
    }

    /// The files on the shortest way, both ends among them.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut reached_from = BTreeMap::from([(from.to_owned(), None::<String>)]);
        let mut waiting = VecDeque::from([from.to_owned()]);
        while let Some(file) = waiting.pop_front() {
            if file == to {
                let mut way = vec![file];
                while let Some(Some(before)) = way.last().and_then(|last| reached_from.get(last)) {
                    way.push(before.clone());
                }
                way.reverse();
                return Some(way);
            }
            for next in self.0.get(&file).into_iter().flat_map(BTreeMap::keys) {
                if !reached_from.contains_key(next) {
                    reached_from.insert(next.clone(), Some(file.clone()));
                    waiting.push_back(next.clone());
                }
            }
        }
        None
    }
}
