//! `[[notify]]`: receivers of notices.

use super::reader::{Item, Section};
use super::service::named;
use crate::core::notice::Kind;
use crate::core::settings::{Github, Notify, Receiver};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(300);
const MAX_EVERY: Duration = Duration::from_secs(86_400);

/// In file order. One without a name is called as its kind is, then kind-2 and so on.
pub(super) fn receivers(root: &Section<'_>, services: &[String]) -> Vec<Notify> {
    let sections = root.tables("notify");
    let given: Vec<_> = sections.iter().map(name).collect();
    let mut taken: Vec<String> = Vec::new();
    for (section, name) in sections.iter().zip(&given) {
        if let Some(name) = name.as_ref().filter(|name| taken.contains(name)) {
            section.fault(&format!("another receiver is called {name} already"));
        }
        taken.extend(name.clone());
    }
    let mut receivers = Vec::new();
    for (section, name) in sections.iter().zip(given) {
        let Some(mut notify) = receiver(section, services) else { continue };
        notify.name = name.unwrap_or_else(|| free_name(notify.receiver.label(), &taken));
        taken.push(notify.name.clone());
        receivers.push(notify);
    }
    receivers
}

fn name(section: &Section<'_>) -> Option<String> {
    let item = section.item("name")?;
    let name = item.string()?;
    named(&name, &item).map(|()| name)
}

fn free_name(kind: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|n| format!("{kind}-{n}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn receiver(section: &Section<'_>, services: &[String]) -> Option<Notify> {
    let kinds = ["slack", "discord", "webhook", "github"].map(|kind| (kind, kind));
    let kind = section.need("kind", "write slack, discord, webhook or github", |item| item.choice(&kinds))?;
    let receiver = match kind {
        "slack" => url(section).map(|url| Receiver::Slack { url }),
        "discord" => url(section).map(|url| Receiver::Discord { url }),
        "github" => github(section).map(Receiver::Github),
        _ => webhook(section),
    };
    let default: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_default()).collect();
    let on = section.read("on", default, |item| list(item, kind_of));
    let every = section.read("every", EVERY, every);
    let services =
        section.read("services", Vec::new(), |item| list(item, |item| known_service(item, services)));
    section.finish();
    Some(Notify { name: String::new(), receiver: receiver?, on, every, services })
}

fn webhook(section: &Section<'_>) -> Option<Receiver> {
    let secret = section.item("secret").map(|item| filled(&item));
    let url = url(section)?;
    match secret {
        None => Some(Receiver::Webhook { url, secret: None }),
        Some(secret) => Some(Receiver::Webhook { url, secret: Some(secret?) }),
    }
}

fn github(section: &Section<'_>) -> Option<Github> {
    let repo = section.need("repo", "for example \"owner/name\"", |item| item.parsed(repo));
    let token = section.need("token", "for example \"${GITHUB_TOKEN}\"", filled);
    let api = section.read("api", Some("https://api.github.com".to_owned()), |item| Some(address(item)));
    let environment = section.read("environment", "production".to_owned(), filled);
    let deployment = section.read("deployment", true, Item::bool);
    let issue = section.read("issue", true, Item::bool);
    let api = api?.trim_end_matches('/').to_owned();
    Some(Github { api, repo: repo?, token: token?, environment, deployment, issue })
}

fn repo(text: &str) -> Result<String, String> {
    let legal = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match text.split_once('/') {
        Some((owner, name)) if legal(owner) && legal(name) => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is no repository; write \"owner/name\"")),
    }
}

fn url(section: &Section<'_>) -> Option<String> {
    section.need("url", "the address to post to", address)
}

/// The complaint does not show the address: it holds a secret.
fn address(item: &Item<'_>) -> Option<String> {
    item.parsed(|text| {
        let url = reqwest::Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(String::from).ok_or_else(|| "is no URL; write https://…".to_owned())
    })
}

fn filled(item: &Item<'_>) -> Option<String> {
    item.parsed(|text| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) })
}

fn every(item: &Item<'_>) -> Option<Duration> {
    item.duration_or_off(Duration::ZERO..=MAX_EVERY, Duration::ZERO)
}

fn list<T>(item: &Item<'_>, read: impl Fn(&Item<'_>) -> Option<T>) -> Option<Vec<T>> {
    Some(item.array()?.iter().filter_map(read).collect())
}

fn kind_of(item: &Item<'_>) -> Option<Kind> {
    item.choice(&Kind::ALL.map(|kind| (kind.label(), kind)))
}

fn known_service(item: &Item<'_>, services: &[String]) -> Option<String> {
    let name = item.string()?;
    let known = services.contains(&name);
    if !known {
        item.fault(&format!("there is no service {name}; there are: {}", services.join(", ")));
    }
    known.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::settings::Config;
    use std::path::Path;

    const MINIMAL: &str = include_str!("../../conf/minimal.toml");

    fn read(notify: &str) -> Result<Config, String> {
        let text = format!("{MINIMAL}\n{notify}");
        let parsed =
            crate::config::parse(&text, "test", &|_| Some("http://secret".into()), Path::new("/nowhere"));
        parsed.map_err(|faults| faults.to_string())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = "[[notify]]\nkind = \"slack\"\nurl = \"https://hooks.example/${X}\"\n\
             [[notify]]\nkind = \"slack\"\nurl = \"http://localhost/\"\nevery = \"off\"\n\
             [[notify]]\nkind = \"webhook\"\nname = \"ops\"\nurl = \"http://localhost/\"\nsecret = \"${X}\"\n\
             on = [\"maintenance\"]\nservices = [\"web\"]\n\
             [[notify]]\nkind = \"github\"\nrepo = \"tallow/web\"\ntoken = \"${X}\"\n";
        let config = read(text).expect("accepted");
        let names: Vec<_> = config.notify.iter().map(|notify| &*notify.name).collect();
        assert_eq!(names, ["slack", "slack-2", "ops", "github"]);
        let [slack, second, ops, github] = &config.notify[..] else { panic!("four") };
        assert_eq!((slack.every.as_secs(), slack.on.len()), (300, 10));
        assert_eq!(slack.receiver, Receiver::Slack { url: "https://hooks.example/http://secret".into() });
        assert_eq!(second.every, Duration::ZERO);
        assert!(ops.wants(Kind::Maintenance, "web") && ops.wants(Kind::Maintenance, ""));
        assert!(!ops.wants(Kind::Maintenance, "api") && !ops.wants(Kind::Started, "web"));
        let Receiver::Github(github) = &github.receiver else { panic!("a github") };
        assert_eq!((&*github.api, &*github.environment), ("https://api.github.com", "production"));
        assert!(github.deployment && github.issue);
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }

    #[test]
    fn the_commented_example_is_right_and_names_the_defaults() {
        let example = include_str!("../../conf/pointsman.toml");
        let at = example.find("# [[notify]]").expect("the example");
        let lines = example[at..].lines().map(|line| line.trim_start_matches('#').trim_start());
        let config = read(&lines.collect::<Vec<_>>().join("\n")).expect("accepted");
        let names: Vec<_> = config.notify.iter().map(|notify| &*notify.name).collect();
        assert_eq!(names, ["slack", "webhook", "github"]);
        let plain = "[[notify]]\nkind = \"slack\"\nurl = \"http://localhost\"\n";
        let plain = &read(plain).expect("accepted").notify[0];
        let shown = &config.notify[0];
        assert_eq!((&shown.on, shown.every, &shown.services), (&plain.on, plain.every, &plain.services));
    }

    #[test]
    fn every_fault_is_told_and_shows_no_secret() {
        let faults = read(
            "[[notify]]\nkind = \"pager\"\n[[notify]]\nkind = \"slack\"\nname = \"A\"\n\
             on = [\"start\"]\nevery = \"2d\"\nservices = [\"wbe\"]\nsecret = \"x\"\n\
             [[notify]]\nkind = \"discord\"\nname = \"x\"\nurl = \"secret\"\n\
             [[notify]]\nkind = \"github\"\nname = \"x\"\nrepo = \"web\"\n",
        )
        .expect_err("refused");
        for line in [
            "notify[0].kind: \"pager\" is none of slack, discord, webhook, github",
            "notify[1].name: a name has 1 to 63 characters",
            "notify[1].url: is missing; the address to post to",
            "notify[1].on[0]: \"start\" is none of started, step, held, progress, promoted",
            "notify[1].every: must be from 0s to 1d",
            "notify[1].services[0]: there is no service wbe; there are: web",
            "notify[1].secret: unknown key",
            "notify[2].url: is no URL; write https://…",
            "notify[3]: another receiver is called x already",
            "notify[3].repo: \"web\" is no repository",
            "notify[3].token: is missing; for example \"${GITHUB_TOKEN}\"",
        ] {
            assert!(faults.contains(line), "missing: {line}\nin:\n{faults}");
        }
        assert!(!faults.contains("\"secret\""), "{faults}");
    }

    #[test]
    fn a_change_takes_effect_at_once() {
        let old = read("").expect("accepted");
        let new = read("[[notify]]\nkind = \"slack\"\nurl = \"http://localhost/\"\n").expect("accepted");
        assert_eq!(crate::config::diff(&old, &new), (vec!["notify".to_owned()], Vec::new()));
    }
}
