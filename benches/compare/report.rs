//! What is printed: each row as soon as it is measured, and the table at the end.

use super::load::Round;
use super::options::Options;
use super::process::machine;
use super::proxies::Contender;
use super::rows::What;
use super::table::{Measured, median};

pub(super) fn heading(options: &Options) {
    println!("{}; {} rounds of {:?} each, in turn", machine(), options.rounds, options.length);
    println!("medians of the rounds, and of the ratios to nginx within a round; in brackets their quartiles");
    for (binary, name) in options.binaries.iter().zip(1..) {
        println!("binary {name}: {}", binary.display());
    }
}

pub(super) fn details(measured: &Measured) {
    println!("\n{}", measured.row.title);
    println!(
        "  {:<18} {:>9} {:>9} {:>9} {:>11}   {:>6}",
        "", "req/s", "p50 ms", "p99 ms", "CPU us/req", "figure"
    );
    for (index, of) in measured.contenders.iter().enumerate() {
        let figure = |figure: fn(&Round) -> f64| median(of.rounds.iter().map(figure));
        let failed: u64 = of.rounds.iter().map(|round| round.failed).sum();
        let [low, high] = measured.spread(index);
        println!(
            "  {:<18} {:>9.0} {:>9} {:>9} {:>11.2}   {:>6.2} [{low:.2} {high:.2}]{}",
            of.contender.label(),
            figure(|round| round.per_second),
            known(figure(|round| round.p50_ms)),
            known(figure(|round| round.p99_ms)),
            figure(|round| round.cpu_us),
            measured.figure(index),
            if failed > 0 { format!(" {failed} FAILED") } else { String::new() },
        );
    }
}

/// One line a row: nginx's own figure, the others' ratios to it, and whether they are what they must be.
pub(super) fn summary(all: &[Measured], contenders: &[Contender]) {
    println!("\n  {:<32} {:>11}{} {:>6} {:>6}", "", "nginx", labels(contenders), "must", "aim");
    for measured in all {
        let own = median(measured.contenders[0].figures.iter().copied());
        let unit = match measured.row.what {
            What::Cpu(..) => "us",
            What::Latency => "ms",
            What::Workers => "x ",
        };
        let cells: String = contenders[1..].iter().map(|contender| cell(measured, contender)).collect();
        println!(
            "  {:<32} {own:>8.2} {unit}{cells} {:>6} {:>6}",
            measured.row.title,
            known(measured.row.must),
            known(measured.row.aim)
        );
    }
    println!("  CPU a request and p99: nginx = 1.00; +: what it must be, -: not yet");
}

fn width(contender: &Contender) -> usize {
    contender.label().chars().count().max(7) + 3
}

fn labels(contenders: &[Contender]) -> String {
    contenders[1..].iter().map(|one| format!("{:>width$}", one.label(), width = width(one))).collect()
}

/// The figure of one contender; only Pointsman is held to what a row asks for.
fn cell(measured: &Measured, contender: &Contender) -> String {
    let text = match measured.contenders.iter().position(|of| of.contender == *contender) {
        Some(index) => {
            let (figure, failed) = (measured.figure(index), &measured.contenders[index].rounds);
            let failed = failed.iter().any(|round| round.failed > 0);
            let mark = match contender {
                _ if failed => '!',
                Contender::Pointsman { .. } if measured.row.must.is_nan() => ' ',
                Contender::Pointsman { .. } if measured.is_reached(figure) => '+',
                Contender::Pointsman { .. } => '-',
                _ => ' ',
            };
            format!("{figure:.2} {mark}")
        }
        None => "–  ".to_owned(),
    };
    format!("{text:>width$}", width = width(contender))
}

fn known(figure: f64) -> String {
    if figure.is_nan() { "–".to_owned() } else { format!("{figure:.2}") }
}
