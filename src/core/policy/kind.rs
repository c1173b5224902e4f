//! The kinds of events that an attempt can come to, each at most once.

/// What a finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Off,
    Hold,
    Abort,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The attempt failed.
    Errors,
    /// Its client left before the head of the answer.
    Abandoned,
    /// The head of the answer, or its last byte, came late.
    Latency,
    Duration,
    /// The answer was one of that class, or a gRPC call got a status which is neither OK nor a failure.
    ClientErrors,
    /// The answer was one of that class, but for 304.
    Redirects,
    /// A 200 or 204 to a GET without a byte of body.
    Empty,
    /// The answer to a copy differs from stable's.
    Differences,
}

impl Kind {
    /// The word in verdicts and in the API.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Errors => "errors",
            Kind::Abandoned => "abandoned",
            Kind::Latency => "latency",
            Kind::Duration => "duration",
            Kind::ClientErrors => "4xx",
            Kind::Redirects => "3xx",
            Kind::Empty => "empty",
            Kind::Differences => "differences",
        }
    }

    /// Whether it is about how long answers take.
    pub fn is_of_time(self) -> bool {
        matches!(self, Kind::Latency | Kind::Duration)
    }

    /// Whether clients can bring it about: events must come from several of them.
    pub fn is_of_clients(self) -> bool {
        matches!(self, Kind::Abandoned | Kind::Latency | Kind::Duration)
    }
}

/// The reaction to a candidate that keeps its limits, but has more events of a kind than stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelativeReactions {
    pub errors: Reaction,
    pub abandoned: Reaction,
    pub latency: Reaction,
    pub duration: Reaction,
    /// Of 4xx, 3xx and empty answers.
    pub statuses: Reaction,
}

impl RelativeReactions {
    /// The same for all kinds.
    pub fn all(reaction: Reaction) -> Self {
        RelativeReactions {
            errors: reaction,
            abandoned: reaction,
            latency: reaction,
            duration: reaction,
            statuses: reaction,
        }
    }

    pub fn of(&self, kind: Kind) -> Reaction {
        match kind {
            Kind::Errors => self.errors,
            Kind::Abandoned => self.abandoned,
            Kind::Latency => self.latency,
            Kind::Duration => self.duration,
            Kind::ClientErrors | Kind::Redirects | Kind::Empty => self.statuses,
            Kind::Differences => Reaction::Off,
        }
    }
}

/// Whom clients leave, who were well served before, is broken; the rest may be what the version is meant to do.
impl Default for RelativeReactions {
    fn default() -> Self {
        RelativeReactions { abandoned: Reaction::Abort, ..RelativeReactions::all(Reaction::Hold) }
    }
}
