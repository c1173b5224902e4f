//! `import nginx --diff`: it finds nothing where both answer alike, and names what differs.

use super::site::Site;
use crate::harness::Printed;

fn site(file: &str) -> Site {
    Site::start(file, &[], true).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn diff(site: &Site, other: &Site, more: &[&str]) -> Printed {
    let [theirs, ours] = [site.nginx_url(), other.url()];
    Printed::of(&[&["import", "nginx", "nginx.conf", "--diff", &theirs, &ours], more].concat(), site.folder())
}

#[test]
fn nothing_differs_where_both_answer_alike() {
    let site = site("locations.conf");
    let printed = diff(&site, &site, &[]);
    assert_eq!(printed.code, 0, "{}{}", printed.out, printed.err);
    let (asked, rest) = printed.out.trim_end().split_once(" requests: ").expect("a summary");
    assert!(asked.parse::<usize>().expect("a number") >= 30, "{}", printed.out);
    assert_eq!(rest, format!("{asked} alike, 0 different"));
}

#[test]
fn what_is_given_where_nginx_refuses_comes_first() {
    let (closed, open) = (site("access.conf"), site("basic.conf"));
    std::fs::write(
        closed.folder().join("list"),
        "# two\nbasic.example /fail\nbasic.example /denied\nHEAD basic.example /\n",
    )
    .expect("a file");
    let printed = diff(&closed, &open, &["--requests", "list"]);
    assert_eq!(printed.code, 1, "{}{}", printed.out, printed.err);
    let lines: Vec<&str> = printed.out.lines().collect();
    assert_eq!(
        lines.first().copied(),
        Some("GIVEN, WHERE NGINX REFUSES: GET basic.example /denied: status: nginx 403, pointsman 200")
    );
    assert_eq!(lines.last().copied(), Some("3 requests: 2 alike, 1 different"));
    let json = diff(&closed, &open, &["--requests", "list", "--output", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&value["alike"], &value["different"][0]["is_given"]), (&2.into(), &true.into()));
}

#[test]
fn a_list_that_is_none_and_a_server_that_is_not_there_are_said() {
    let site = site("basic.conf");
    std::fs::write(site.folder().join("list"), "POST basic.example /\n").expect("a file");
    let wrong = diff(&site, &site, &["--requests", "list"]);
    assert!(
        wrong.code == 1 && wrong.err.contains("is no request: write [GET|HEAD|OPTIONS] HOST /PATH"),
        "{}",
        wrong.err
    );
    let dead = site.dead_url();
    let gone =
        Printed::of(&["import", "nginx", "nginx.conf", "--diff", &site.nginx_url(), &dead], site.folder());
    assert!(gone.code == 1 && gone.err.contains("pointsman at http://127.0.0.1:"), "{}", gone.err);
}
