/// How a pool chooses among its upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    #[default]
    RoundRobin,
    LeastConn,
    /// The less loaded of two drawn at random.
    P2c,
    /// The same key goes to the same upstream while the set stays.
    Hash(HashBy),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    ClientIp,
    Uri,
    /// A request header, by lower-case name; requests without it fall back to the client's address.
    Header(String),
}
