//! What pingora wants to know of a stream that wraps another: all of it is the inner stream's.

/// Tells it of a stream with a field `inner`.
macro_rules! of_inner {
    ($stream:ident) => {
        const _: () = {
            use async_trait::async_trait;
            use pingora_core::protocols::raw_connect::ProxyDigest;
            use pingora_core::protocols::tls::SslDigest;
            use pingora_core::protocols::{
                ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
                TimingDigest, UniqueID, UniqueIDType,
            };
            use std::sync::Arc;
            use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

            #[async_trait]
            impl<S: AsyncRead + AsyncWrite + Unpin + Send> Shutdown for $stream<S> {
                async fn shutdown(&mut self) {
                    if let Err(error) = AsyncWriteExt::shutdown(self).await {
                        tracing::debug!("a connection was not closed cleanly: {error}");
                    }
                }
            }

            impl<S: UniqueID> UniqueID for $stream<S> {
                fn id(&self) -> UniqueIDType {
                    self.inner.id()
                }
            }

            impl<S: Ssl> Ssl for $stream<S> {
                fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
                    self.inner.get_ssl_digest()
                }

                fn selected_alpn_proto(&self) -> Option<ALPN> {
                    self.inner.selected_alpn_proto()
                }
            }

            impl<S: GetTimingDigest> GetTimingDigest for $stream<S> {
                fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
                    self.inner.get_timing_digest()
                }
            }

            impl<S: GetProxyDigest> GetProxyDigest for $stream<S> {
                fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
                    self.inner.get_proxy_digest()
                }
            }

            impl<S: GetSocketDigest> GetSocketDigest for $stream<S> {
                fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
                    self.inner.get_socket_digest()
                }
            }

            impl<S> Peek for $stream<S> {}
        };
    };
}

pub(in crate::proxy) use of_inner;
