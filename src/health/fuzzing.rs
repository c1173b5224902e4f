//! What must hold of any answer to a check.

use super::grpc;
use http::{HeaderMap, HeaderValue};

/// The body of an answer of `grpc.health.v1`.
pub fn grpc_health(body: &[u8]) {
    let (none, mut ok) = (HeaderMap::new(), HeaderMap::new());
    ok.insert("grpc-status", HeaderValue::from_static("0"));
    let said = grpc::serving("", 200, (&none, &ok), body);
    assert_eq!(said, grpc::serving("a.B", 200, (&ok, &none), body), "the trailers may stand in the head");
    match grpc::status_of(body) {
        Some(status) => {
            assert_eq!(said.is_ok(), status == 1, "{said:?}");
            let written = grpc::response(status);
            assert_eq!(grpc::status_of(&written), Some(status), "what is written is what is read");
        }
        None => assert!(said.is_err_and(|why| why.contains("no HealthCheckResponse"))),
    }
}
