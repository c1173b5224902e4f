//! A fleet in words, for operators: one line, and what keeps it from going on.

use super::status::{FleetMemberView, FleetView};

impl FleetView {
    /// On one line: `2 of 3 members, edge-1 leads`.
    pub fn summary(&self) -> String {
        let there = self.members.iter().filter(|member| member.alive).count();
        let leads = match self.leader() {
            _ if !self.connected => "etcd is not heard".to_owned(),
            Some(leader) => format!("{} leads", leader.name),
            None => "nobody leads".to_owned(),
        };
        format!("{there} of {} members, {leads}", self.members.len())
    }

    /// The member that advances and promotes.
    pub fn leader(&self) -> Option<&FleetMemberView> {
        self.members.iter().find(|member| member.leader && member.alive)
    }

    /// Members that are gone, and not forgotten yet.
    pub fn missing(&self) -> impl Iterator<Item = &FleetMemberView> {
        self.members.iter().filter(|member| !member.alive)
    }

    /// What keeps rollouts from going on, a sentence each; nothing where all is well.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<String> = self.of_the_store().into_iter().collect();
        troubles.extend(self.missing().map(|member| match &member.last_seen {
            Some(since) => format!("{} has not been heard of since {since}", member.name),
            None => format!("{} has not been heard of", member.name),
        }));
        troubles.extend(self.members.iter().filter(|member| member.alive).flat_map(|of| self.of_member(of)));
        let holds = self.holds.iter().flat_map(|(service, why)| why.iter().map(move |why| (service, why)));
        // A member that is missing holds every service: once is enough.
        let holds = holds
            .filter(|(_, why)| !troubles.contains(why))
            .map(|(service, why)| format!("{service}: {why}"));
        let holds: Vec<_> = holds.collect();
        troubles.extend(holds);
        troubles
    }

    fn of_the_store(&self) -> Option<String> {
        match (&self.detail, self.connected, self.leader()) {
            (Some(why), false, _) => Some(format!("etcd is not heard, so that nothing advances: {why}")),
            (None, false, _) => Some("etcd is not heard, so that nothing advances".to_owned()),
            (Some(why), true, _) => Some(why.clone()),
            (None, true, None) => Some("nobody leads, so that nothing advances".to_owned()),
            (None, true, Some(_)) => None,
        }
    }

    /// What of a member that is there differs from what all must have. Configurations are compared with the leader's.
    fn of_member(&self, member: &FleetMemberView) -> Vec<String> {
        let me = self.members.iter().find(|other| other.name == self.name);
        let measure = self.leader().or(me).unwrap_or(member);
        let mut differs = Vec::new();
        if !member.same_secret {
            differs.push(format!(
                "{} has another secret than {}: give all members the same",
                member.name, self.name
            ));
        }
        if member.config != measure.config {
            differs.push(format!(
                "{} has another configuration than {}: give both the same, and reload",
                member.name, measure.name
            ));
        }
        if member.ready == Some(false) {
            differs.push(format!("{} has not the state of every service yet", member.name));
        }
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> FleetMemberView {
        FleetMemberView {
            name: name.to_owned(),
            alive: true,
            version: Some("1.0.0".to_owned()),
            config: Some("c0ffee".to_owned()),
            same_secret: true,
            ready: Some(true),
            ..FleetMemberView::default()
        }
    }

    fn fleet() -> FleetView {
        let mut members = ["edge-1", "edge-2", "edge-3"].map(member).to_vec();
        members[0].leader = true;
        FleetView { name: "edge-2".to_owned(), connected: true, revision: 7, members, ..FleetView::default() }
    }

    #[test]
    fn all_is_well_in_one_line() {
        assert_eq!(fleet().summary(), "3 of 3 members, edge-1 leads");
        assert_eq!(fleet().troubles(), Vec::<String>::new());
    }

    #[test]
    fn what_stands_in_the_way_is_said_once() {
        let mut view = fleet();
        let gone = "edge-3 has not been heard of since 2026-11-28T10:15:00Z";
        view.members[2] = FleetMemberView {
            name: "edge-3".to_owned(),
            same_secret: true,
            last_seen: Some("2026-11-28T10:15:00Z".to_owned()),
            ..FleetMemberView::default()
        };
        view.members[1].config = Some("another".to_owned());
        view.members[1].same_secret = false;
        view.members[0].ready = Some(false);
        let why = vec![gone.to_owned(), "edge-2 does not show 25 % yet".to_owned()];
        view.holds = [("web".to_owned(), why), ("api".to_owned(), vec![gone.to_owned()])].into();
        assert_eq!(view.summary(), "2 of 3 members, edge-1 leads");
        assert_eq!(
            view.troubles(),
            [
                gone,
                "edge-1 has not the state of every service yet",
                "edge-2 has another secret than edge-2: give all members the same",
                "edge-2 has another configuration than edge-1: give both the same, and reload",
                "web: edge-2 does not show 25 % yet",
            ]
        );
    }

    #[test]
    fn without_the_store_or_a_leader_nothing_advances() {
        let lost = FleetView { connected: false, detail: Some("no route".to_owned()), ..fleet() };
        assert_eq!(lost.summary(), "3 of 3 members, etcd is not heard");
        assert_eq!(lost.troubles(), ["etcd is not heard, so that nothing advances: no route"]);
        let mut none = fleet();
        none.members[0].leader = false;
        assert_eq!(none.summary(), "3 of 3 members, nobody leads");
        assert_eq!(none.troubles(), ["nobody leads, so that nothing advances"]);
        let foreign = FleetView { detail: Some("another fleet's secret".to_owned()), ..fleet() };
        assert_eq!(foreign.troubles(), ["another fleet's secret"]);
    }
}
