//! Types as their schemas, with the examples tried by the types themselves.

use crate::admin::described::SCHEMAS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// A type that is described, and whose examples are tried.
pub(in crate::admin) trait Sent: ToSchema {
    #[cfg(test)]
    fn again(example: &Value) -> Result<Value, String>;
}

impl<T: ToSchema + Serialize + DeserializeOwned> Sent for T {
    #[cfg(test)]
    fn again(example: &Value) -> Result<Value, String> {
        let read = serde_json::from_value::<T>(example.clone()).map_err(|error| error.to_string())?;
        serde_json::to_value(read).map_err(|error| error.to_string())
    }
}

/// A type as its schema.
pub(in crate::admin) struct Shape {
    /// Of the example.
    pub name: String,
    pub schema: Value,
    /// The schemas that it refers to.
    pub nested: Vec<(String, Value)>,
    pub is_list: bool,
    /// An example, read and written by the type.
    #[cfg(test)]
    pub again: fn(&Value) -> Result<Value, String>,
}

impl Shape {
    /// A type with a name of its own.
    pub(in crate::admin) fn of<T: Sent>() -> Self {
        let mut nested = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut nested);
        let nested = nested.into_iter().map(|(name, schema)| (name, plain(schema))).collect();
        let name = T::name().into_owned();
        let schema = json!({ "$ref": format!("{}{name}", SCHEMAS) });
        Shape {
            name,
            schema,
            nested,
            is_list: false,
            #[cfg(test)]
            again: T::again,
        }
    }

    pub(super) fn list<T: Sent>() -> Self {
        let one = Shape::of::<T>();
        Shape { schema: json!({ "type": "array", "items": one.schema }), is_list: true, ..one }
    }

    pub(super) fn maybe<T: Sent>() -> Self {
        let one = Shape::of::<T>();
        Shape { schema: json!({ "oneOf": [{ "type": "null" }, one.schema] }), ..one }
    }

    pub(super) fn text(name: &str) -> Self {
        Shape {
            name: name.to_owned(),
            schema: json!({ "type": "string" }),
            nested: Vec::new(),
            is_list: false,
            #[cfg(test)]
            again: |example| Ok(example.clone()),
        }
    }
}

pub(super) fn plain(schema: RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}
