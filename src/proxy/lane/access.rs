//! Who may come in: what a route asks of a request before it goes where the route leads, whatever that is.
//!
//! The network comes first, then the password, then the service's word. Where all have to hold, the network was looked
//! at with the route.

use super::exchange::Exchange;
use super::passwords::PasswordCheck;
use super::replace::Lead;
use crate::core::credentials;
use crate::core::route::{Authorize, BasicAuth, RouteAccess, Satisfy};
use crate::proxy::decide::plan::Way;
use crate::proxy::headers::grant;
use crate::proxy::own::answer::OwnAnswer;
use crate::proxy::own::error_page;
use http::header::WWW_AUTHENTICATE;

impl Exchange<'_> {
    /// Whether the route asks anything of a request that goes there.
    pub(super) fn is_guarded(&self, way: &Lead) -> bool {
        let is_asked = match way {
            // The place that the page of an error names is for those who may not come in.
            Ok(Way::Away { .. }) => self.request.plan.replaced.is_none(),
            Ok(Way::Own | Way::Upstream(_)) => true,
            Err(_) => false,
        };
        is_asked && self.request.route().is_some_and(|route| route.access.is_some())
    }

    /// Asks it; the answer, where the request may not go on.
    pub(super) async fn guard(&mut self) -> Option<OwnAnswer> {
        let table = self.request.plan.table.clone();
        let route = table.route(self.request.plan.route)?;
        let access = route.access.as_deref()?;
        if let Some(authorize) = &access.authorize {
            // Only the service says this of it; what it goes by itself, it has to see.
            grant::forget_claims(&mut self.request.head, &authorize.forward);
            self.request.plan.granted = None;
        }
        let refused = match access.satisfy {
            Satisfy::All => self.all(access).await,
            Satisfy::Any if route.clients.welcome(self.request.inbound.client) => None,
            Satisfy::Any => self.any(access).await,
        };
        if let Some(authorize) = &access.authorize {
            // However it comes in.
            grant::forget(&mut self.request.head, &authorize.forward);
        }
        if refused.is_some() {
            // Nobody learns where it would have gone.
            let plan = &mut self.request.plan;
            (plan.target, plan.by) = (None, None);
            plan.cookies = None;
        }
        refused
    }

    async fn all(&mut self, access: &RouteAccess) -> Option<OwnAnswer> {
        if let Some(basic) = &access.basic
            && let Some(refused) = self.password(basic).await
        {
            return Some(refused);
        }
        match &access.authorize {
            Some(authorize) => self.authorized(authorize).await,
            None => None,
        }
    }

    async fn any(&mut self, access: &RouteAccess) -> Option<OwnAnswer> {
        let mut refused = None;
        if let Some(basic) = &access.basic {
            refused = Some(self.password(basic).await?);
        }
        if let Some(authorize) = &access.authorize {
            let answer = self.authorized(authorize).await?;
            // A client that can show a password is asked for it, unless the service knows a better way.
            if refused.is_none() || answer.head.status.is_redirection() {
                refused = Some(answer);
            }
        }
        Some(refused.unwrap_or_else(|| error_page::error(&self.request, 403)))
    }

    async fn password(&mut self, basic: &BasicAuth) -> Option<OwnAnswer> {
        let challenge = || Some((WWW_AUTHENTICATE, basic.challenge.clone()));
        let Some(shown) = credentials::of(&self.request.head.headers) else {
            self.request.inbound.is_proven = false;
            return Some(error_page::error_with(&self.request, 401, challenge()));
        };
        self.request.inbound.user = Some(shown.name.clone());
        let client = self.request.client_key();
        let checked = self.worker.shared.passwords.check(&basic.users, shown, client).await;
        self.request.inbound.is_proven = checked == PasswordCheck::Right;
        match checked {
            PasswordCheck::Right => None,
            PasswordCheck::Wrong => Some(error_page::error_with(&self.request, 401, challenge())),
            PasswordCheck::Crowded => Some(error_page::error(&self.request, 503)),
        }
    }

    /// Asks the service.
    async fn authorized(&mut self, authorize: &Authorize) -> Option<OwnAnswer> {
        super::authorize::ask(self.worker, &mut self.request, authorize).await
    }
}
