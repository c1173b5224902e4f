//! What being in a fleet costs an instance: while nothing happens, in memory, and for each request.

use super::harness::{Pointsman, median, wrk};
use super::options::Options;
use super::report::Report;
use super::site::{self, Fleet};
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(30);
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;

pub(super) fn run(options: &Options, report: &mut Report) {
    let count = options.sizes[0];
    let fleet = Fleet::start(count);
    let alone = site::start(&fleet.alone());
    std::thread::sleep(options.length(IDLE) / 3);
    idle(&fleet, &alone, options, report);
    requests(&fleet.members[0], &alone, options, report);
}

fn idle(fleet: &Fleet, alone: &Pointsman, options: &Options, report: &mut Report) {
    let (count, length) = (fleet.members.len(), options.length(IDLE));
    let all: Vec<u32> = fleet.members.iter().chain([alone]).map(Pointsman::pid).collect();
    let before: Vec<Duration> = all.iter().map(|pid| cpu(*pid)).collect();
    std::thread::sleep(length);
    let shares = all
        .iter()
        .zip(before)
        .map(|(pid, before)| cpu(*pid).saturating_sub(before).as_secs_f64() / length.as_secs_f64() * 100.0);
    let shares: Vec<f64> = shares.collect();
    let memory: Vec<f64> = all.iter().map(|pid| memory_mb(*pid)).collect();
    println!("  idle, % of a core: {shares:.3?}, MB: {memory:.1?}; the last one is alone");
    report.figure(
        "idle: CPU more than alone",
        count,
        (median(&shares[..count]) - shares[count], "% of a core"),
        0.1,
    );
    report.figure(
        "idle: memory more than alone",
        count,
        (median(&memory[..count]) - memory[count], "MB"),
        5.0,
    );
}

/// Rounds of both in turn.
fn requests(member: &Pointsman, alone: &Pointsman, options: &Options, report: &mut Report) {
    let (mut ratios, length) = (Vec::new(), options.length(ROUND));
    for round in 0..options.runs(40) {
        let both = if round % 2 == 0 { [member, alone] } else { [alone, member] };
        let mut us = both.map(|of| us_a_request(of, length));
        if round % 2 != 0 {
            us.reverse();
        }
        ratios.push((us[0] / us[1] - 1.0) * 100.0);
    }
    println!("  a request, % more than alone, by rounds: {ratios:.1?}");
    report.figure("CPU of a request more than alone", options.sizes[0], (median(&ratios), "%"), 1.0);
}

/// By as many connections as keep one worker busy.
fn us_a_request(of: &Pointsman, length: Duration) -> f64 {
    let before = cpu(of.pid());
    let load = wrk(of.http(), CONNECTIONS, 60);
    std::thread::sleep(length);
    let seen = load.stop();
    cpu(of.pid()).saturating_sub(before).as_secs_f64() * 1e6 / seen.requests.max(1) as f64
}

/// The time of all threads so far.
fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or_default()
    };
    Duration::from_nanos(tasks.map(of).sum())
}

fn memory_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
