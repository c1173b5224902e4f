//! One call: the handler that serves it, and what its description says beside the types that serve.

use super::shape::{Sent, Shape, plain};
use crate::admin::State;
use crate::admin::auth::needed;
use crate::admin::params::acceptable;
use crate::admin::problem::ProblemType;
use crate::admin::session;
use crate::core::settings::Role;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{self, MethodRouter};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// JSON, as most is.
pub(in crate::admin) const JSON: &str = "application/json";

/// A call of the API.
pub(in crate::admin) struct Call {
    pub method: Method,
    pub path: &'static str,
    /// The name of the operation.
    pub id: &'static str,
    pub summary: &'static str,
    /// Whether it needs no token.
    pub is_open: bool,
    /// What `{action}` in the path may be.
    pub actions: &'static [&'static str],
    /// The schema of its query.
    pub query: Option<Value>,
    pub body: Option<Shape>,
    /// Whether there must be a body.
    pub needs_body: bool,
    /// Headers that it takes.
    pub headers: Vec<&'static str>,
    pub answers: Vec<Outcome>,
    pub problems: BTreeSet<ProblemType>,
    serves: MethodRouter<State>,
}

/// What a call is answered with where nothing stands in its way.
pub(in crate::admin) struct Outcome {
    pub status: u16,
    pub text: &'static str,
    pub media: Option<(&'static str, Shape)>,
    pub headers: Vec<&'static str>,
}

pub(super) fn get<H: Handler<T, State>, T: 'static>(
    id: &'static str,
    path: &'static str,
    handler: H,
) -> Call {
    Call::new(Method::GET, id, path, routing::get(handler))
}

pub(super) fn put<H: Handler<T, State>, T: 'static>(
    id: &'static str,
    path: &'static str,
    handler: H,
) -> Call {
    Call::new(Method::PUT, id, path, routing::put(handler))
}

pub(super) fn post<H: Handler<T, State>, T: 'static>(
    id: &'static str,
    path: &'static str,
    handler: H,
) -> Call {
    Call::new(Method::POST, id, path, routing::post(handler))
}

pub(super) fn delete<H: Handler<T, State>, T: 'static>(
    id: &'static str,
    path: &'static str,
    handler: H,
) -> Call {
    Call::new(Method::DELETE, id, path, routing::delete(handler))
}

impl Call {
    fn new(method: Method, id: &'static str, path: &'static str, serves: MethodRouter<State>) -> Self {
        let mut problems = BTreeSet::from([
            ProblemType::Unauthorized,
            ProblemType::Forbidden,
            ProblemType::NotAcceptable,
            ProblemType::Unavailable,
        ]);
        if path.contains('{') {
            problems.insert(ProblemType::NotFound);
        }
        if !method.is_safe() {
            // A body that is not wanted is read and refused, too.
            problems.extend([
                ProblemType::RequestTimeout,
                ProblemType::ContentTooLarge,
                ProblemType::Invalid,
            ]);
        }
        Call {
            method,
            path,
            id,
            summary: "",
            is_open: false,
            actions: &[],
            query: None,
            body: None,
            needs_body: false,
            headers: Vec::new(),
            answers: Vec::new(),
            problems,
            serves,
        }
    }

    pub(super) fn says(self, summary: &'static str) -> Self {
        Call { summary, ..self }
    }

    /// Takes no token, and whatever `Accept` says.
    pub(super) fn open(mut self) -> Self {
        for kind in [ProblemType::Unauthorized, ProblemType::NotAcceptable, ProblemType::Unavailable] {
            self.problems.remove(&kind);
        }
        Call { is_open: true, ..self }
    }

    pub(super) fn acts(self, actions: &'static [&'static str]) -> Self {
        Call { actions, ..self }
    }

    pub(super) fn query<T: ToSchema>(mut self) -> Self {
        self.problems.insert(ProblemType::Invalid);
        Call { query: Some(plain(T::schema())), ..self }
    }

    /// A JSON body that says so in its `Content-Type`.
    pub(super) fn body<T: Sent>(mut self) -> Self {
        self.problems.extend([ProblemType::MalformedJson, ProblemType::UnsupportedMediaType]);
        Call { body: Some(Shape::of::<T>()), needs_body: true, ..self }
    }

    /// A JSON body whatever its `Content-Type` says.
    pub(super) fn any_body<T: Sent>(self) -> Self {
        Call { needs_body: true, ..self.maybe_body::<T>() }
    }

    /// The same, which may be left out: the defaults then.
    pub(super) fn maybe_body<T: Sent>(mut self) -> Self {
        self.problems.insert(ProblemType::MalformedJson);
        Call { body: Some(Shape::of::<T>()), ..self }
    }

    pub(super) fn header(mut self, name: &'static str) -> Self {
        self.problems.insert(ProblemType::Invalid);
        self.headers.push(name);
        self
    }

    /// Changes a service that is to have a certain revision still.
    pub(super) fn if_match(mut self) -> Self {
        self.problems.insert(ProblemType::PreconditionFailed);
        self.header("If-Match").changes()
    }

    /// Its body or query names a service, which may not exist.
    pub(super) fn names_something(mut self) -> Self {
        self.problems.insert(ProblemType::NotFound);
        self
    }

    /// Opened by a token in the body, which may be a guess.
    pub(super) fn refuses_guesses(mut self) -> Self {
        self.problems.extend([ProblemType::Unauthorized, ProblemType::UnsupportedMediaType]);
        self
    }

    /// Changes something that may be in a state that does not let it.
    pub(super) fn changes(mut self) -> Self {
        self.problems.insert(ProblemType::Conflict);
        self
    }

    pub(super) fn answers<T: Sent>(self, status: u16, text: &'static str) -> Self {
        self.outcome(status, text, Some((JSON, Shape::of::<T>())))
    }

    pub(super) fn answers_list<T: Sent>(self, status: u16, text: &'static str) -> Self {
        self.outcome(status, text, Some((JSON, Shape::list::<T>())))
    }

    /// Or `null`.
    pub(super) fn answers_maybe<T: Sent>(self, status: u16, text: &'static str) -> Self {
        self.outcome(status, text, Some((JSON, Shape::maybe::<T>())))
    }

    /// JSON that no type of ours describes.
    pub(super) fn answers_object(self, text: &'static str, example: &str) -> Self {
        let shape = Shape { schema: json!({ "type": "object" }), ..Shape::text(example) };
        self.outcome(200, text, Some((JSON, shape)))
    }

    /// Something else than JSON, with the name of its example.
    pub(super) fn answers_text(self, media: &'static str, text: &'static str, example: &str) -> Self {
        self.outcome(200, text, Some((media, Shape::text(example))))
    }

    pub(super) fn answers_nothing(self, status: u16, text: &'static str) -> Self {
        self.outcome(status, text, None)
    }

    fn outcome(mut self, status: u16, text: &'static str, media: Option<(&'static str, Shape)>) -> Self {
        self.answers.push(Outcome { status, text, media, headers: Vec::new() });
        self
    }

    /// With a header in the answer that was described last.
    pub(super) fn with(mut self, header: &'static str) -> Self {
        self.answers.last_mut().into_iter().for_each(|answer| answer.headers.push(header));
        self
    }

    /// Whether nobody is asked who they are. A session is looked at by its own calls, behind the door.
    pub(in crate::admin) fn is_before_the_door(&self) -> bool {
        self.is_open && self.path != session::PATH
    }

    /// The least role that it needs.
    pub(in crate::admin) fn role(&self) -> Option<Role> {
        (!self.is_open).then(|| needed(&self.method, self.path))
    }

    /// How it is served: a client that takes none of its media types is refused.
    pub(in crate::admin) fn served(self) -> MethodRouter<State> {
        if self.is_open {
            return self.serves;
        }
        let media = self.answers.iter().filter_map(|answer| answer.media.as_ref().map(|(media, _)| *media));
        let media: Vec<&'static str> = media.collect::<BTreeSet<_>>().into_iter().collect();
        let check = move |request: Request, next: Next| {
            let refused = if media.is_empty() { None } else { acceptable(request.headers(), &media).err() };
            async move {
                match refused {
                    Some(problem) => problem.into_response(),
                    None => next.run(request).await,
                }
            }
        };
        self.serves.route_layer(from_fn(check))
    }
}
