mod active;
mod answering;
mod attempt;
mod client;
mod connection;
mod exchange;
mod failure;
mod http1;
mod http2;
mod lasting;
mod line;
mod recall;
mod relay;
mod shield;
mod stream;
mod tunnel;
mod upload;
mod upstream_side;
pub(in crate::proxy) mod worker;
pub(in crate::proxy) mod workers;

#[cfg(test)]
mod sizes {
    use super::*;
    use crate::proxy::exchange::Request;
    use crate::proxy::wire::alarm::Alarm;
    fn sz<F>(_: impl FnOnce(&'static worker::Worker, &'static mut client::Client, Request, &'static mut Alarm) -> F) -> usize { size_of::<F>() }
    fn szx<F>(_: impl FnOnce(&'static mut exchange::Exchange<'static>) -> F) -> usize { size_of::<F>() }
    #[test]
    fn print_sizes() {
        println!("Request {}", size_of::<Request>());
        println!("inbound {} plan {} attempts {} delivery {}", size_of::<crate::proxy::exchange::Inbound>(), size_of::<crate::proxy::exchange::RoutePlan>(), size_of::<crate::proxy::exchange::Attempts>(), size_of::<crate::proxy::exchange::Delivery>());
        println!("RequestHeader {}", size_of::<pingora_http::RequestHeader>());
        println!("ResponseHeader {}", size_of::<pingora_http::ResponseHeader>());
        println!("ParsedRequest {}", size_of::<crate::proxy::wire::request_head::ParsedRequest>());
        println!("ParsedResponse {}", size_of::<crate::proxy::wire::response_head::ParsedResponse>());
        println!("Http1Connection {}", size_of::<crate::proxy::upstream::http1::Http1Connection>());
        println!("serve fut {}", sz(exchange::serve));
        println!("pass_on fut {}", szx(exchange::Exchange::pass_on));
        println!("run fut {}", szx(exchange::Exchange::run));
        println!("attempt fut {}", szx(exchange::Exchange::attempt));
        println!("linger fut {}", szx(exchange::Exchange::linger));
        println!("connect fut {}", szx(exchange::Exchange::connect));
    }
}
