//! Other words for services, of which each means one service only.

use std::collections::{BTreeMap, BTreeSet};

use super::{Position, Problem, ServiceEntry};

/// Sees to it that no alias means two services, or one and the slug or name of another.
///
/// Where the aliases of a service in `given` (by slug, with its place in the file) are in the way, its
/// file is told. Others give way: what this program ships must not refuse what an operator names.
pub(super) fn settle(entries: &mut [ServiceEntry], given: &BTreeMap<String, Position>) -> Vec<Problem> {
    if entries.iter().all(|entry| entry.aliases.is_empty()) {
        return Vec::new();
    }
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut aliases = names.clone();
    for entry in entries.iter() {
        for name in [entry.slug.clone(), entry.name.to_lowercase()] {
            names.entry(name).or_default().insert(entry.slug.clone());
        }
        for alias in entry.aliases.iter().filter(|_| given.contains_key(&entry.slug)) {
            aliases.entry(alias.clone()).or_default().insert(entry.slug.clone());
        }
    }
    let mut problems = Vec::new();
    // Of two that give way for each other, the first keeps the word.
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for entry in entries {
        let of_another = |known: &BTreeMap<String, BTreeSet<String>>, alias: &str| {
            known.get(alias).and_then(|slugs| slugs.iter().find(|slug| **slug != entry.slug).cloned())
        };
        let at = given.get(&entry.slug);
        let mut stay = entry.aliases.clone();
        stay.retain(|alias| {
            let other = of_another(&names, alias).or_else(|| of_another(&aliases, alias));
            match (other, at) {
                (None, Some(_)) => true,
                (None, None) => kept.insert(alias.clone()),
                (Some(_), None) => false,
                (Some(other), Some(at)) => {
                    let message = format!("the alias {alias:?} of {:?} means {other:?} too", entry.slug);
                    problems.push(Problem { at: *at, message });
                    false
                }
            }
        });
        entry.aliases = stay;
    }
    problems
}
