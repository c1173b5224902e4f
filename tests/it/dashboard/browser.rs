//! The pages as people use them. Skipped, with a line that says so, where no browser is installed.

use super::{calm, watched};
use crate::harness::{Browser, Load, Origin, Pointsman};
use serde_json::json;

#[test]
fn an_operator_signs_in_flips_aborts_and_watches_an_abort() {
    let Some(mut browser) = Browser::open() else {
        println!("skipped: no browser; apt-get install chromium-headless-shell");
        return;
    };
    let [blue, green] = ["blue", "green"].map(Origin::named);
    blue.react(calm(200));
    green.react(calm(200));
    let pointsman = Pointsman::start(&watched(&blue, &green));
    let load = Load::start(pointsman.http(), 4);
    browser.looks((1280, 800), "light");
    browser.visit(&format!("http://{}/", pointsman.admin));
    browser.until("document.activeElement?.id === 'token'");
    seen(&mut browser, "sign-in");
    browser.types("secret-ci");
    browser.key("Enter", 13);
    browser.shows("1 of 1");
    browser.shows("blue 100 %");
    seen(&mut browser, "list");
    by_keyboard(&mut browser);
    flips(&mut browser, &pointsman);
    aborts_by_hand(&mut browser, &pointsman);
    sees_an_abort(&mut browser, &pointsman, &green);
    let narrow = "document.documentElement.scrollWidth <= innerWidth";
    browser.looks((390, 844), "light");
    browser.until(narrow);
    browser.until("document.querySelectorAll('.uplot canvas').length === 3");
    seen(&mut browser, "service-phone");
    browser.press("Events");
    browser.shows("aborted");
    browser.until(narrow);
    let small =
        "[...document.querySelectorAll('button')].filter(e => e.getBoundingClientRect().height < 44).length";
    assert_eq!(browser.value(small), json!(0), "targets of 44 px on a phone");
    seen(&mut browser, "events-phone");
    browser.press("Pointsman");
    browser.shows("1 of 1");
    browser.until(narrow);
    seen(&mut browser, "list-phone");
    browser.press("Instance");
    browser.shows("In effect since");
    browser.until(narrow);
    seen(&mut browser, "instance-phone");
    browser.press("Sign out");
    browser.until("document.activeElement?.id === 'token' || !!document.getElementById('token')");
    assert_eq!(browser.faults(), Vec::<String>::new());
    let own = format!("http://{}/", pointsman.admin);
    let outside: Vec<_> = browser.requests().into_iter().filter(|url| !url.starts_with(&own)).collect();
    assert!(outside.iter().all(|url| url == "about:blank"), "{outside:?}");
    load.stop();
}

/// `/` leads to the search, and Enter to the first service that is found.
fn by_keyboard(browser: &mut Browser) {
    browser.value("document.activeElement.blur()");
    browser.key("/", 191);
    browser.until("document.activeElement?.id === 'search'");
    browser.types("nothing");
    browser.shows("0 of 1");
    browser.key("Escape", 27);
    browser.shows("1 of 1");
    browser.key("/", 191);
    browser.types("we");
    browser.shows("1 of 1");
    browser.key("Enter", 13);
    browser.until("location.pathname === '/s/web'");
    browser.until("document.querySelectorAll('.uplot canvas').length === 3");
}

fn flips(browser: &mut Browser, pointsman: &Pointsman) {
    browser.press("Flip to green");
    browser.shows("All traffic goes to green at once; blue stays as the way back.");
    browser.until("document.activeElement?.hasAttribute('data-confirm')");
    seen(browser, "question");
    browser.key("Escape", 27);
    browser.until("!document.querySelector('.asked')");
    assert_eq!(stable(pointsman), "blue", "nothing has happened");
    browser.press("Flip to green");
    browser.until("document.activeElement?.hasAttribute('data-confirm')");
    browser.key("Enter", 13);
    browser.until("document.querySelector('[role=status]').innerText !== ''");
    assert_eq!(stable(pointsman), "green");
    browser.until("[...document.querySelectorAll('button')].some(e => e.textContent.trim() === 'Roll back' && e.ariaDisabled === 'false')");
    browser.press("Roll back");
    confirm(browser);
    browser.shows("Flip to green");
    assert_eq!(stable(pointsman), "blue");
}

fn aborts_by_hand(browser: &mut Browser, pointsman: &Pointsman) {
    start(pointsman, "v2");
    browser.shows("How far green is from an abort");
    browser.shows("more in a row abort");
    seen(browser, "rollout");
    browser.press("Abort");
    browser.shows("All traffic goes back to blue");
    confirm(browser);
    browser.shows("Last rollout");
    let rollout = &pointsman.call_with("GET", "/v1/services/web", TOKEN, "").json()["rollout"];
    assert_eq!((rollout["outcome"].as_str(), rollout["version"].as_str()), (Some("aborted"), Some("v2")));
    // Quarantined: the button says why it is off.
    browser
        .until("[...document.querySelectorAll('[aria-disabled=true]')].some(e => e.title.includes('green'))");
}

fn sees_an_abort(browser: &mut Browser, pointsman: &Pointsman, green: &Origin) {
    browser.looks((1280, 800), "dark");
    start(pointsman, "v3");
    browser.shows("v3: shifting");
    seen(browser, "rollout-dark");
    green.react(calm(500));
    browser.shows("v3 to green");
    browser.until("[...document.querySelectorAll('.chip.fail')].some(e => e.innerText === 'aborted')");
    browser.until("document.querySelector('.history .bad .action')?.innerText === 'aborted'");
    seen(browser, "aborted-dark");
    browser.press("Course, and the requests that failed");
    browser.shows("Requests that decided");
    browser.until("document.querySelector('img.course')?.naturalWidth > 0");
    browser.until("document.querySelectorAll('.failures tbody tr').length >= 4");
    seen(browser, "course-dark");
    browser.looks((390, 844), "light");
    browser.until("document.documentElement.scrollWidth <= innerWidth");
    seen(browser, "course-phone");
    browser.looks((1280, 800), "light");
    seen(browser, "course");
    browser.press("Instance");
    browser.shows("In effect since");
    seen(browser, "instance");
    browser.press("Events");
    browser.shows("aborted");
    browser.looks((1280, 800), "dark");
    seen(browser, "events-dark");
    browser.press("Services");
    browser.shows("1 of 1");
    seen(browser, "list-dark");
    browser.press("web");
    browser.shows("Last rollout");
}

/// A page as it is now: a picture of it, where one is wanted, and no barriers.
fn seen(browser: &mut Browser, name: &str) {
    browser.picture(name);
    assert_eq!(browser.barriers(), json!([]), "{name}");
}

/// Answers the question that is open.
fn confirm(browser: &mut Browser) {
    browser.until("!!document.querySelector('[data-confirm]')");
    browser.value("document.querySelector('[data-confirm]').click()");
}

const TOKEN: &str = "Authorization: Bearer secret-ci\r\n";

fn stable(pointsman: &Pointsman) -> String {
    let web = pointsman.call_with("GET", "/v1/services/web", TOKEN, "").json();
    web["stable"].as_str().expect("a pool").to_owned()
}

fn start(pointsman: &Pointsman, version: &str) {
    let body = format!("{{\"to\": \"green\", \"version\": \"{version}\"}}");
    let answer = pointsman.call_with("POST", "/v1/services/web/rollouts", TOKEN, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// 50 services of 4 pools each, a frame a second: what the scripts of the list take, which is printed.
#[test]
fn a_list_of_fifty_services_is_drawn_once_a_frame() {
    let Some(mut browser) = Browser::open() else {
        println!("skipped: no browser; apt-get install chromium-headless-shell");
        return;
    };
    let origin = Origin::named("one");
    let mut config = super::admin() + "[[routes]]\nservice = \"s0\"\n";
    for service in 0..50 {
        config += &format!("[services.s{service}]\nstable = \"a\"\n");
        for pool in ["a", "b", "c", "d"] {
            config += &format!("[services.s{service}.pools.{pool}]\nupstreams = [\"{}\"]\n", origin.address);
        }
    }
    let pointsman = Pointsman::start(&config);
    browser.looks((1280, 800), "light");
    browser.visit(&format!("http://{}/", pointsman.admin));
    browser.until("document.activeElement?.id === 'token'");
    browser.types("secret-ci");
    browser.key("Enter", 13);
    browser.shows("50 of 50");
    seen(&mut browser, "list-fifty");
    browser.ask("Performance.enable", json!({}));
    let script = |browser: &mut Browser| {
        let all = browser.ask("Performance.getMetrics", json!({}))["metrics"].clone();
        let metric = all.as_array().into_iter().flatten().find(|metric| metric["name"] == "ScriptDuration");
        metric.and_then(|metric| metric["value"].as_f64()).expect("a time")
    };
    browser.value("window.drawings = 0; new MutationObserver(() => window.drawings++).observe(document.querySelector('.services'), { subtree: true, childList: true, characterData: true, attributes: true }); 0");
    let before = script(&mut browser);
    // Every sparkline moves on with every frame.
    browser.until("window.drawings >= 5");
    let drawings = browser.value("window.drawings").as_f64().expect("a number");
    let each = (script(&mut browser) - before) * 1000.0 / drawings;
    println!("50 services of 4 pools: {each:.1} ms of script a frame, over {drawings} frames");
}
