//! Commands about who sees which version.

use super::Done;
use super::args::Cohort;
use super::client::{Client, Failure};
use super::out::Out;
use crate::admin::shapes::{TesterBody, TesterView};
use crate::core::duration;
use reqwest::Method;

pub(super) async fn run(client: &Client, action: Cohort, out: &Out) -> Result<Done, Failure> {
    let Cohort::Link { service, to, ttl } = action;
    let body = TesterBody { to, ttl: Some(duration::show(ttl)) };
    let path = ["v1", "services", &service, "testers"];
    let view: TesterView = client.send_json(Method::POST, &path, &[], &body).await?;
    out.show(&view, text);
    Ok(Done::Well)
}

/// The ways to send it, the one for a browser first.
fn text(view: &TesterView) -> String {
    let TesterView { value, header, cookie, query, expires_at } = view;
    format!(
        "until {expires_at}, any of\n  query   ?{query}={value}   (a browser keeps it; ?{query}=out ends it)\n  \
         header  {header}: {value}\n  cookie  {cookie}={value}\n"
    )
}
