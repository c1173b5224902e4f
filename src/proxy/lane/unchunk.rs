//! Chunks are taken off answers to HTTP/1.0, which knows none.
//!
//! For answers of HTTP/2 upstreams, pingora adds them after its last callback that sees a head; its modules
//! come later.

use crate::proxy::decide::outcome as reply;
use async_trait::async_trait;
use http::Version;
use pingora_core::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use std::any::Any;

/// Makes one for each request.
pub(in crate::proxy) struct Unchunking;

#[derive(Default)]
struct Unchunk {
    is_old: bool,
}

impl HttpModuleBuilder for Unchunking {
    fn init(&self) -> Module {
        Box::new(Unchunk::default())
    }
}

#[async_trait]
impl HttpModule for Unchunk {
    async fn request_header_filter(&mut self, request: &mut RequestHeader) -> Result<()> {
        self.is_old = request.version == Version::HTTP_10;
        Ok(())
    }

    async fn response_header_filter(&mut self, response: &mut ResponseHeader, _: bool) -> Result<()> {
        if self.is_old {
            reply::unchunk(response);
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
