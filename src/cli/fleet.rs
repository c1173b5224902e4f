//! Commands about the fleet.

use super::args::Fleet;
use super::client::{Client, Failure};
use super::out::Out;
use super::{Done, tables};
use crate::core::fleet::status::{FleetMemberView, FleetView};
use std::collections::BTreeMap;

/// Digits of a configuration's digest: enough to tell two apart.
const DIGITS: usize = 8;

pub(super) async fn run(client: &Client, action: Fleet, out: &Out) -> Result<Done, Failure> {
    match action {
        Fleet::Status => {
            let view: FleetView = client.get(&["v1", "fleet"]).await?;
            out.show(&view, text);
            Ok(if view.troubles().is_empty() { Done::Well } else { Done::Unwell })
        }
        Fleet::Forget { name } => {
            let view: FleetView = client.delete(&["v1", "fleet", "members", &name]).await?;
            out.show(&view, |view| format!("{name} is forgotten\n{}", line(view)));
            Ok(Done::Well)
        }
    }
}

/// As `pointsman status` has it, with what keeps rollouts from going on.
pub(super) fn brief(view: &FleetView) -> String {
    line(view) + "\n" + &troubles(view)
}

fn text(view: &FleetView) -> String {
    let head = ["member", "state", "leads", "version", "config", "shows"].map(String::from);
    let newest = newest(view);
    let rows = view.members.iter().map(|member| row(member, &newest));
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let table = tables::table(&rows, [true; 6]);
    let from = format!("  as {} knows it, at revision {} of etcd\n", view.name, view.revision);
    format!("{}\n{table}{from}{}", line(view), troubles(view))
}

fn line(view: &FleetView) -> String {
    format!("fleet: {}", view.summary())
}

fn troubles(view: &FleetView) -> String {
    view.troubles().iter().map(|trouble| format!("  ✗ {trouble}\n")).collect()
}

/// The highest number of each service's state that a member shows.
fn newest(view: &FleetView) -> BTreeMap<&str, u64> {
    let mut newest = BTreeMap::new();
    for (service, seq) in view.members.iter().flat_map(|member| &member.applied) {
        let highest: &mut u64 = newest.entry(service.as_str()).or_default();
        *highest = (*highest).max(*seq);
    }
    newest
}

fn row(member: &FleetMemberView, newest: &BTreeMap<&str, u64>) -> [String; 6] {
    let state = match (member.alive, member.ready) {
        (false, _) => "gone",
        (true, Some(false)) => "joining",
        (true, _) => "ready",
    };
    let is_behind = |(service, seq): &(&&str, &u64)| member.applied.get(**service) != Some(*seq);
    let behind: Vec<&str> = newest.iter().filter(is_behind).map(|(service, _)| *service).collect();
    let shows = match behind.as_slice() {
        _ if !member.alive => "-".to_owned(),
        [] => "the newest state".to_owned(),
        [one] => format!("an older state of {one}"),
        many => format!("an older state of {} services", many.len()),
    };
    let known = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), str::to_owned);
    let config = member.config.as_deref().map(|digest| digest.get(..DIGITS).unwrap_or(digest));
    let leads = if member.leader { "yes" } else { "" };
    [
        member.name.clone(),
        state.to_owned(),
        leads.to_owned(),
        known(member.version.as_deref()),
        known(config),
        shows,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, seq: u64) -> FleetMemberView {
        FleetMemberView {
            name: name.to_owned(),
            alive: true,
            version: Some("0.1.0".to_owned()),
            config: Some("c0ffee00c0ffee00".to_owned()),
            same_secret: true,
            applied: [("web".to_owned(), seq)].into(),
            ready: Some(true),
            ..FleetMemberView::default()
        }
    }

    #[test]
    fn a_fleet_is_a_table_of_80_columns_and_what_holds_below() {
        let gone = FleetMemberView {
            last_seen: Some("2026-11-28T10:15:00Z".to_owned()),
            same_secret: true,
            ..FleetMemberView::default()
        };
        let leader = FleetMemberView { leader: true, ..member("edge-1", 17) };
        let gone = FleetMemberView { name: "edge-3".to_owned(), ..gone };
        let view = FleetView {
            name: "edge-2".to_owned(),
            connected: true,
            revision: 4711,
            members: vec![leader, member("edge-2", 16), gone],
            ..FleetView::default()
        };
        let expected = "fleet: 2 of 3 members, edge-1 leads\n  \
            member  state  leads  version  config    shows\n  \
            edge-1  ready  yes    0.1.0    c0ffee00  the newest state\n  \
            edge-2  ready         0.1.0    c0ffee00  an older state of web\n  \
            edge-3  gone          -        -         -\n  \
            as edge-2 knows it, at revision 4711 of etcd\n  \
            ✗ edge-3 has not been heard of since 2026-11-28T10:15:00Z\n";
        assert_eq!(text(&view), expected);
        assert!(text(&view).lines().all(|line| line.chars().count() <= 80));
        assert!(brief(&view).starts_with("fleet: 2 of 3 members, edge-1 leads\n  ✗ edge-3 has"));
    }
}
