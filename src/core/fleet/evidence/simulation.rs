//! What is promised of the verdict of a fleet, by seeded simulation. `make fleet` runs it at length, with the figures.

mod model;

use model::{A, Course, Fleet, Scheme};

fn runs(least: u64) -> u64 {
    std::env::var("POINTSMAN_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(least)
}

fn in_parallel(runs: u64, run: impl Fn(u64) -> Course + Sync) -> Vec<Course> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let part = |first| {
            let run = &run;
            scope.spawn(move || (first..runs).step_by(threads).map(run).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..threads as u64).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

/// The value that a share of all is at most.
fn quantile(of: impl Iterator<Item = u64>, share: f64) -> u64 {
    let mut values: Vec<u64> = of.collect();
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn a_bad_candidate_takes_the_fleet_no_more_failures_than_one_instance() {
    let runs = runs(21);
    println!("median failures (90 %) of all instances until the abort; limit 1 %, 50 attempts a second");
    println!("failing | instances | in rounds | from the last failure to the verdict | each for itself");
    // The most failures at the median, and of nine runs in ten.
    for (failing, median, ninth) in [(1.0, 8, 10), (0.2, 13, 18), (0.1, 20, 28)] {
        for members in [1, 3, 10, 30] {
            let course = |scheme| {
                in_parallel(runs, |seed| Fleet::new(seed, members, scheme).run(50.0, failing, 1_000_000))
            };
            let (rounds, alone) = (course(Scheme::Rounds), course(Scheme::Alone));
            assert!(rounds.iter().all(|course| course.aborted), "it is found");
            let failures = |of: &[Course], share| quantile(of.iter().map(|course| course.failures), share);
            let took = |share| quantile(rounds.iter().map(|course| course.took_us), share) as f64 / 1000.0;
            let (half, most) = (failures(&rounds, 0.5), failures(&rounds, 0.9));
            let worst = failures(&rounds, 1.0);
            println!(
                "{:>5} % | {members:>2} | {half} ({most}) | {:.1} ms (99 %: {:.1} ms) | {} ({})",
                failing * 100.0,
                took(0.5),
                took(0.99),
                failures(&alone, 0.5),
                failures(&alone, 0.9),
            );
            assert!(half <= median && most <= ninth, "{half} ({most}) failures");
            assert!(failing < 1.0 || worst <= 10, "a dead candidate had {worst} failures");
        }
    }
}

/// The last second of its good time counts after the first failures.
#[test]
fn a_candidate_that_turns_bad_takes_little_more() {
    let runs = runs(11);
    for members in [3, 10, 30] {
        let courses = in_parallel(runs, |seed| {
            let mut fleet = Fleet::new(300 + seed, members, Scheme::Rounds);
            assert!(!fleet.run(50.0, 0.002, 2_000).aborted);
            fleet.run(50.0, 1.0, 1_000)
        });
        let failures = |share| quantile(courses.iter().map(|course| course.failures), share);
        println!("dead after 40 good seconds, {members} instances: {} ({})", failures(0.5), failures(0.9));
        assert!(courses.iter().all(|course| course.aborted) && failures(0.5) <= 8 && failures(0.9) <= 10);
    }
}

#[test]
fn a_candidate_exactly_at_the_limit_is_aborted_by_no_fleet() {
    let runs = runs(2);
    for (members, rate) in [(3, 50.0), (10, 50.0), (30, 5_000.0)] {
        let courses = in_parallel(runs, |seed| {
            Fleet::new(1000 + seed, members, Scheme::Rounds).run(rate, 0.01, 50_000)
        });
        let aborted = courses.iter().filter(|course| course.aborted).count();
        let highest = courses.iter().map(|course| course.highest_ln).fold(0.0, f64::max);
        println!(
            "exactly at the limit, {members} instances, {rate} attempts a second: {aborted} of {runs} runs of 50,000 \
             aborted, highest ln {highest:.1}, needed {:.1}",
            (2.0 * A).ln()
        );
        assert_eq!(aborted, 0);
    }
}

/// One instance of thirty stops for some seconds every minute: rounds end without it.
#[test]
fn an_instance_that_stalls_now_and_then_aborts_nobody() {
    let runs = runs(2);
    let courses = in_parallel(runs, |seed| {
        let mut fleet = Fleet::new(7000 + seed, 30, Scheme::Rounds);
        let mut course = fleet.run(5_000.0, 0.01, 1);
        for minute in 0..5 {
            fleet.stalled = Some((minute, fleet.now_us + 5_000_000));
            course = fleet.run(5_000.0, 0.01, 10_000);
            if course.aborted {
                break;
            }
        }
        course
    });
    let highest = courses.iter().map(|course| course.highest_ln).fold(0.0, f64::max);
    println!("with an instance that stalls: highest ln {highest:.1} in {runs} runs of 50,000");
    assert!(courses.iter().all(|course| !course.aborted), "{courses:?}");
}

/// The bound of a sound test: evidence of ln 12.3 within 50,000 attempts has a chance of 50,000 / e^12.3, which is 0.23.
#[test]
fn judging_what_is_pushed_as_it_comes_breaks_the_bound_and_rounds_keep_it() {
    let runs = runs(12);
    let highest = |scheme| {
        let courses =
            in_parallel(runs, |seed| Fleet::new(50_000 + seed, 50, scheme).run(20_000.0, 0.01, 50_000));
        let mut ln: Vec<f64> = courses.iter().map(|course| course.highest_ln).collect();
        ln.sort_by(f64::total_cmp);
        ln
    };
    let (sound, unsound) = (highest(Scheme::Rounds), highest(Scheme::AsItComes));
    let over = |of: &[f64], ln: f64| of.iter().filter(|highest| **highest >= ln).count();
    let bound = |ln: f64| (50_000.0 / ln.exp()).min(1.0) * runs as f64;
    println!(
        "50 instances, 20,000 attempts a second, exactly at the limit, {runs} runs of 50,000: runs whose evidence reached"
    );
    println!("ln | the bound allows | in rounds | as it comes");
    for needed in [12.3f64, 14.0, 16.0, 18.0, 20.7] {
        let (sound, unsound) = (over(&sound, needed), over(&unsound, needed));
        println!("{needed} | {:.2} | {sound} | {unsound}", bound(needed));
    }
    let median = |of: &[f64]| of[of.len() / 2];
    println!(
        "median of the highest ln: {:.1} in rounds, {:.1} as it comes",
        median(&sound),
        median(&unsound)
    );
    assert!(over(&sound, 14.0) as f64 <= bound(14.0) + 1.0, "{sound:?}");
    assert!(over(&unsound, 16.0) as f64 > 10.0 * bound(16.0) + 1.0, "it keeps the bound: {unsound:?}");
}
