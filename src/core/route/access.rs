//! Who may come in on a route, beside the networks of its clients: by a password, or by the word of a service.

use crate::core::htpasswd::Htpasswd;
use crate::core::template::Template;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// What a route asks of its clients.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteAccess {
    pub basic: Option<BasicAuth>,
    pub authorize: Option<Authorize>,
    pub satisfy: Satisfy,
}

/// How much of it has to hold, the networks included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Satisfy {
    #[default]
    All,
    /// One thing is enough: a network that is let in, a password, or the service's word.
    Any,
}

/// A name and a password of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct BasicAuth {
    /// What `WWW-Authenticate` says: the realm.
    pub challenge: HeaderValue,
    pub users: Arc<Htpasswd>,
}

/// A service that is asked about each request before it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorize {
    /// By name.
    pub service: String,
    /// What it is asked for.
    pub target: PathAndQuery,
    /// Fields of its answer that the upstream gets.
    pub forward: Vec<GrantedField>,
    /// Where browsers go that are not signed in.
    pub signin: Option<SignIn>,
}

/// A field that a service says of a request. No client can send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedField {
    /// What it is called in the service's answer.
    pub of: HeaderName,
    /// What it is called for the upstream.
    pub name: HeaderName,
}

/// A place whose query may say where the client comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    pub place: Template,
    /// What follows its question mark; values in it are written as a query has them.
    pub query: Option<Template>,
}
