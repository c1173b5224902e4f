//! The rounds of each row, in turn, and what they come to.

use super::configs::Setup;
use super::load::{Load, Round};
use super::options::Options;
use super::process::Cpus;
use super::proxies::{Contender, Origin, Running};
use super::rows::{Row, SMALL, What};
use std::time::Duration;

/// Of nginx's highest rate: where latencies are measured.
const SHARE_OF_HIGHEST_RATE: f64 = 0.4;
const WARM_UP: Duration = Duration::from_secs(1);

/// A row with its rounds.
pub(super) struct Measured {
    pub row: Row,
    /// In the order of the contenders; nginx first.
    pub contenders: Vec<Rounds>,
}

pub(super) struct Rounds {
    pub contender: Contender,
    pub rounds: Vec<Round>,
    /// What is judged, one for each round, before it is held against nginx's.
    pub figures: Vec<f64>,
}

/// Proxies that run, with the setup they have.
pub(super) struct Bench<'a> {
    options: &'a Options,
    contenders: Vec<Contender>,
    cpus: Cpus,
    origin: Origin,
    setup: Setup,
    proxies: Vec<Running>,
}

impl<'a> Bench<'a> {
    pub(super) fn start(options: &'a Options) -> Self {
        let cpus = Cpus::for_one_worker();
        let (contenders, origin) = (Contender::all(&options.binaries), Origin::start(cpus));
        let mut bench = Bench { options, contenders, cpus, origin, setup: Setup::PLAIN, proxies: Vec::new() };
        bench.proxies = bench.started(Setup::PLAIN);
        bench
    }

    pub(super) fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// Warm, so that connections, caches and branch predictors are.
    fn started(&self, setup: Setup) -> Vec<Running> {
        let taking_part = self.contenders.iter().filter(|contender| contender.takes_part(setup));
        let start = |contender| Running::start(contender, self.origin.address, setup, self.cpus);
        let proxies: Vec<_> = taking_part.map(start).collect();
        for proxy in proxies.iter().filter(|_| !self.options.is_smoke) {
            SMALL.run(proxy, self.cpus, WARM_UP);
        }
        proxies
    }

    pub(super) fn measure(&mut self, row: Row) -> Measured {
        if self.setup != row.setup() {
            (self.proxies, self.setup) = (self.started(row.setup()), row.setup());
        }
        let contenders = match row.what {
            What::Cpu(_, load) => self.alternate(load, |round| round.cpu_us),
            What::Latency => {
                let highest = SMALL.run(&self.proxies[0], self.cpus, self.options.length).per_second;
                let rate = (highest * SHARE_OF_HIGHEST_RATE).round();
                self.alternate(Load::Open { rate }, |round| round.p99_ms)
            }
            What::Workers => self.workers(),
        };
        Measured { row, contenders }
    }

    /// One round of each proxy, in turn, and so on. Another one comes first in each round.
    fn alternate(&self, load: Load, figure: fn(&Round) -> f64) -> Vec<Rounds> {
        let mut results: Vec<_> = self.proxies.iter().map(|proxy| empty(&proxy.contender)).collect();
        for round in 0..self.options.rounds {
            for turn in 0..self.proxies.len() {
                let index = (round + turn) % self.proxies.len();
                let round = load.run(&self.proxies[index], self.cpus, self.options.length);
                results[index].rounds.push(round);
                results[index].figures.push(figure(&round));
            }
        }
        results
    }

    /// A round of one worker, then one of two, of each proxy in turn.
    fn workers(&self) -> Vec<Rounds> {
        let cpus = Cpus::for_two_workers();
        let origin = Origin::start(cpus);
        let start = |contender: &Contender, workers, cpus| {
            Running::start(contender, origin.address, Setup { workers, ..Setup::PLAIN }, cpus)
        };
        let proxy_alone = Cpus { proxy: self.cpus.proxy, ..cpus };
        let pairs: Vec<_> = self
            .contenders
            .iter()
            .map(|contender| [start(contender, 1, proxy_alone), start(contender, 2, cpus)])
            .collect();
        let load = Load::Get { path: "/small", connections: 256 };
        let mut results: Vec<_> = self.contenders.iter().map(empty).collect();
        for _ in 0..self.options.rounds {
            for ([one, two], result) in pairs.iter().zip(&mut results) {
                let one = load.run(one, cpus, self.options.length);
                let two = load.run(two, cpus, self.options.length);
                result.figures.push(two.per_second / one.per_second);
                result.rounds.push(two);
            }
        }
        results
    }
}

fn empty(contender: &Contender) -> Rounds {
    Rounds { contender: contender.clone(), rounds: Vec::new(), figures: Vec::new() }
}

impl Measured {
    /// What is judged of one contender, in order: for most rows the ratio to nginx's figure of the same round.
    fn judged(&self, index: usize) -> Vec<f64> {
        let (own, nginx) = (&self.contenders[index].figures, &self.contenders[0].figures);
        let is_ratio = self.row.is_ratio_to_nginx();
        let pairs = own.iter().zip(nginx);
        sorted(pairs.map(|(own, nginx)| if is_ratio { own / nginx } else { *own }))
    }

    /// The median of what is judged.
    pub(super) fn figure(&self, index: usize) -> f64 {
        median(self.judged(index).into_iter())
    }

    /// The quartiles of what is judged: half of the rounds lie within.
    pub(super) fn spread(&self, index: usize) -> [f64; 2] {
        let values = self.judged(index);
        [values.len() / 4, values.len() * 3 / 4].map(|at| values.get(at).copied().unwrap_or(f64::NAN))
    }

    /// Whether a figure is what the row must reach.
    pub(super) fn is_reached(&self, figure: f64) -> bool {
        match self.row.what {
            // What the load allows is the same for both, but for the noise.
            What::Workers => figure >= self.row.must || figure >= self.figure(0) * 0.97,
            // A figure is known to two places.
            _ => (figure * 100.0).round() <= (self.row.must * 100.0).round(),
        }
    }
}

/// The middle one; not a number without any.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
