//! Configurations in the manner of real ones, asked in parallel, and how alike each is.

use super::compare::{self, KNOWN};
use super::furnish::{listed, source};
use super::questions::Questions;
use super::site::Site;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Configurations at a time.
const THREADS: usize = 4;

/// What came of one configuration.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub file: String,
    pub asked: usize,
    pub alike: usize,
    /// Different as listed.
    pub known: usize,
    pub differences: Vec<String>,
    /// What nginx refuses and Pointsman gives.
    pub leaks: Vec<String>,
    /// What the import lacks yet.
    pub pending: Vec<String>,
    pub time: Duration,
}

impl Report {
    pub(super) fn is_equivalent(&self) -> bool {
        self.differences.is_empty()
    }

    fn of(file: &str) -> Self {
        let since = Instant::now();
        let questions = Questions::of(&source(file));
        let mut report =
            Report { file: file.to_owned(), pending: questions.pending.clone(), ..Report::default() };
        let site = match Site::start(file, &questions.hosts(), report.pending.is_empty()) {
            Ok(site) => site,
            Err(why) => {
                report.differences.push(format!("{file}: {why}"));
                return report;
            }
        };
        for (mark, request) in &questions.asked {
            report.ask(&site, mark.as_deref(), request);
        }
        report.time = since.elapsed();
        report
    }

    fn ask(&mut self, site: &Site, mark: Option<&str>, request: &str) {
        self.asked += 1;
        let (nginx, pointsman) = site.ask(request);
        let file = &self.file;
        if let Some(leak) = compare::leak(&nginx, &pointsman) {
            self.leaks.push(format!("{file}: {request}: {leak}"));
        }
        let found = compare::differences(&nginx, &pointsman);
        let is_listed = |mark: &str| KNOWN.iter().any(|(name, _)| *name == mark);
        match (mark, found.is_empty()) {
            (None, true) => self.alike += 1,
            (Some(mark), false) if is_listed(mark) => self.known += 1,
            (Some(mark), _) => {
                self.differences.push(format!("{file}: {request}: {mark} is no difference, or not listed"));
            }
            (None, false) => {
                self.differences.extend(found.iter().map(|what| format!("{file}: {request}: {what}")));
            }
        }
    }
}

/// All of a folder, in the order of their names. `POINTSMAN_FRONTS=word,word`: only those with one of the words.
pub(super) fn reports(folder: &str) -> Vec<Report> {
    let chosen = std::env::var("POINTSMAN_FRONTS").unwrap_or_default();
    let is_chosen = |file: &String| chosen.split(',').any(|word| file.contains(word));
    let files: Vec<String> = listed(folder).into_iter().filter(is_chosen).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let report = Report::of(file);
                    done.lock().expect("no panic").push(report);
                }
            });
        }
    });
    let mut reports = done.into_inner().expect("no panic");
    assert_eq!(reports.len(), files.len());
    reports.sort_by(|one, other| one.file.cmp(&other.file));
    reports
}

/// How many differences of a pending configuration are shown: all where some were chosen.
pub(super) fn shown() -> usize {
    if std::env::var_os("POINTSMAN_FRONTS").is_some() { usize::MAX } else { 3 }
}

/// One line a configuration.
pub(super) fn table(reports: &[Report]) -> String {
    let line = |report: &Report| {
        let Report { file, asked, alike, known, pending, time, .. } = report;
        let state = if report.is_equivalent() { "equivalent" } else { "different" };
        let pending =
            if pending.is_empty() { String::new() } else { format!("  pending: {}", pending.join(", ")) };
        format!(
            "  {state:<10} {file:<36} {alike:>4} alike, {known:>3} as listed, of {asked:>4}, {:>6} ms{pending}\n",
            time.as_millis()
        )
    };
    reports.iter().map(line).collect()
}
