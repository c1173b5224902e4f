//! The process as the system sees it, under the names that Prometheus's own clients use. Read from `/proc` when it is
//! scraped; what cannot be read is left out.

use super::parts::{description, family, gauge, sum};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use rustix::process::{Resource, getrlimit};

/// The system's figures.
pub(super) struct Process {
    /// In the order of [`figures`].
    descriptions: [Desc; 7],
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let describe = |name, help| description(name, help, &[]);
        let descriptions = [
            describe("process_cpu_seconds_total", "Time that the process has had of the CPUs.")?,
            describe("process_start_time_seconds", "When the process started, in seconds since 1970.")?,
            describe("process_threads", "Threads of the process.")?,
            describe("process_virtual_memory_bytes", "Address space of the process.")?,
            describe("process_resident_memory_bytes", "Memory that the process holds.")?,
            describe("process_open_fds", "Open file descriptors.")?,
            describe("process_max_fds", "File descriptors that may be open.")?,
        ];
        Ok(Process { descriptions })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let named = self.descriptions.iter().zip(figures());
        let families = named.filter_map(|(description, figure)| {
            let is_counter = description.fq_name.ends_with("_total");
            let (kind, metric) = match is_counter {
                true => (MetricType::COUNTER, sum(&[], figure?)),
                false => (MetricType::GAUGE, gauge(&[], figure?)),
            };
            Some(family(description, kind, vec![metric]))
        });
        families.collect()
    }
}

fn figures() -> [Option<f64>; 7] {
    let stat = std::fs::read_to_string("/proc/self/stat").ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let field = |number| field(stat.as_deref()?, number);
    let limit = getrlimit(Resource::Nofile).current;
    [
        field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks),
        field(22).zip(boot_time()).map(|(start, boot)| boot + start / ticks),
        field(20),
        field(23),
        field(24).map(|pages| pages * rustix::param::page_size() as f64),
        // The descriptor that lists them is none of them.
        std::fs::read_dir("/proc/self/fd").ok().map(|all| all.count().saturating_sub(1) as f64),
        limit.map(|most| most as f64),
    ]
}

/// A field of `stat`, by its number in proc_pid_stat(5). The second is a name, which may have any character.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// When the system started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 9 0 1234 5000 60";
        assert_eq!(
            [14, 15, 20, 22, 23, 24].map(|n| field(stat, n)),
            [7., 5., 9., 1234., 5000., 60.].map(Some)
        );
        assert_eq!((field(stat, 99), field("", 14)), (None, None));
    }

    #[test]
    fn the_figures_of_this_process_are_plausible() {
        let [_, started, threads, address_space, resident, open, most] =
            figures().map(Option::unwrap_or_default);
        let now = crate::observe::clock::unix_seconds() as f64;
        assert!(started > now - 86_400.0 && started <= now + 1.0, "{started}");
        assert!(threads >= 1.0 && resident > 1e6 && address_space >= resident && open >= 3.0 && most >= open);
    }
}
