//! The views of all services together, of which the next moment shares those that are the same.

use super::ServiceView;
use std::sync::Arc;

/// By name. A clone costs the same with one service or a thousand.
#[derive(Clone, Debug, Default)]
pub struct ServiceViews(Arc<[Arc<ServiceView>]>);

impl ServiceViews {
    pub fn of(views: impl IntoIterator<Item = Arc<ServiceView>>) -> Self {
        let mut views: Vec<_> = views.into_iter().collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        ServiceViews(views.into())
    }

    pub fn get(&self, name: &str) -> Option<&Arc<ServiceView>> {
        self.0.get(self.place(name)?)
    }

    /// In the order of the names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<ServiceView>> {
        self.0.iter()
    }

    /// The same with others in the place of those with their names.
    pub(in crate::control) fn with(&self, views: Vec<Arc<ServiceView>>) -> Self {
        if views.is_empty() {
            return self.clone();
        }
        let mut next = self.0.clone();
        let all = Arc::make_mut(&mut next);
        for view in views {
            if let Some(place) = self.place(&view.name).and_then(|at| all.get_mut(at)) {
                *place = view;
            }
        }
        ServiceViews(next)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|view| (*view.name).cmp(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_shares_the_views_that_are_the_same() {
        let view = |name: &str, revision| {
            Arc::new(ServiceView { name: name.to_owned(), revision, ..ServiceView::default() })
        };
        let before = ServiceViews::of(["web", "api", "shop"].map(|name| view(name, 1)));
        let now = before.with(vec![view("shop", 2), view("gone", 1)]);
        let shown: Vec<_> = now.values().map(|view| (&*view.name, view.revision)).collect();
        assert_eq!(shown, [("api", 1), ("shop", 2), ("web", 1)]);
        let shared = before.values().zip(now.values()).map(|(old, new)| Arc::ptr_eq(old, new));
        assert_eq!(shared.collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(now.get("web").map(|view| view.revision), Some(1));
        assert!(now.get("gone").is_none() && Arc::ptr_eq(&now.0, &now.with(Vec::new()).0));
    }
}
