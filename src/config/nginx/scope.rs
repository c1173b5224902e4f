//! A place in the tree, and what holds there: nginx looks for a directive in the innermost block that
//! has it, and takes nothing from the blocks around that one.

use super::tree::Directive;

/// The blocks around a place, outermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    levels: Vec<&'a [Directive]>,
    /// How many of the innermost ones are blocks of conditions, which are part of the place around them.
    conditional: usize,
}

impl<'a> Scope<'a> {
    pub(super) fn within(&self, block: &'a [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Scope { levels, conditional: 0 }
    }

    /// The block of an `if` or of `limit_except`: what answers is that of the place around it, unless it has its own.
    pub(super) fn within_condition(&self, block: &'a [Directive]) -> Self {
        let conditional = self.conditional + 1;
        Scope { conditional, ..self.within(block) }
    }

    pub(super) fn conditional(&self) -> usize {
        self.conditional
    }

    /// What stands in the place, in the blocks of conditions first.
    pub(super) fn place(&self) -> impl Iterator<Item = &'a Directive> + '_ {
        self.levels().take(self.conditional + 1).flatten()
    }

    /// For what answers: in the place alone, and in its conditions before that.
    pub(super) fn handler(&self, name: &str) -> Option<&'a Directive> {
        self.place().find(|directive| directive.name == name)
    }

    /// All of that name in the innermost block that has any.
    pub(super) fn all(&self, name: &str) -> Vec<&'a Directive> {
        self.any(&[name])
    }

    /// All that have one of the names, in the innermost block that has any: nginx inherits some
    /// directives together.
    pub(super) fn any(&self, names: &[&str]) -> Vec<&'a Directive> {
        let named = |level: &&'a [Directive]| {
            let level: &'a [Directive] = level;
            level.iter().filter(|d| names.contains(&d.name.as_str())).collect::<Vec<_>>()
        };
        self.levels.iter().rev().map(named).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The last of that name that holds here.
    pub(super) fn last(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).pop()
    }

    /// Only in the innermost block: for what is not inherited.
    pub(super) fn own(&self, name: &str) -> Option<&'a Directive> {
        self.block().iter().find(|directive| directive.name == name)
    }

    /// The blocks around the place, the innermost first.
    pub(super) fn levels(&self) -> impl Iterator<Item = &'a [Directive]> + '_ {
        self.levels.iter().rev().copied()
    }

    /// The last of that name in the locations around the place, not in their server.
    pub(super) fn in_locations(&self, name: &str, server: &Scope<'a>) -> Option<&'a Directive> {
        let inner = self.levels.get(server.levels.len()..).unwrap_or_default();
        inner.iter().rev().find_map(|level| level.iter().rev().find(|directive| directive.name == name))
    }

    pub(super) fn block(&self) -> &'a [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }
}
