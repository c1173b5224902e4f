//! What protected a location under nginx stays closed.

mod cases;
pub(super) mod pair;

use pair::{Pair, is_opened};

/// What the servers of the cases use.
const AROUND: &str = "access_log off;
upstream app { server @APP@; }
map $http_user_agent $bad_agent { default 0; ~evil 1; }
geo $blocked { default 0; 127.0.0.0/8 1; }
server { listen @LISTEN@ default_server; return 404; }
";

#[test]
fn what_nginx_refuses_is_not_served() {
    let servers = cases::CASES.iter().enumerate().map(|(index, (lines, _))| {
        format!("server {{ listen @LISTEN@; server_name s{index}.example; {lines} }}\n")
    });
    let pair = Pair::start(&format!("{AROUND}{}", servers.collect::<String>()));
    let (mut asked, mut refused, mut opened) = (0, 0, Vec::new());
    for (index, (lines, requests)) in cases::CASES.iter().enumerate() {
        for request in *requests {
            let (nginx, pointsman) = pair.ask(&format!("s{index}.example"), request);
            asked += 1;
            refused += usize::from(matches!(nginx.status, 0 | 401 | 403 | 404));
            if is_opened(&nginx, &pointsman) || (nginx.status >= 300 && pointsman.text().contains("secret")) {
                opened.push(format!("{request}: {} but {}: {lines}", nginx.status, pointsman.status));
            }
        }
    }
    println!(
        "import, closed: of {asked} requests to {} servers nginx refuses {refused}; {} are served by the import",
        cases::CASES.len(),
        opened.len()
    );
    assert!(opened.is_empty(), "{}", opened.join("\n"));
}
