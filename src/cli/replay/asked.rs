//! What can be typed after `pointsman replay`.

use crate::core::duration;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  pointsman replay --policy pointsman.toml access.log
  pointsman replay --policy strict.toml --service web --candidate green --stable blue access.log.1 access.log
  pointsman replay --policy pointsman.toml --svg rollout.svg --output json access.log.2.gz
  pointsman replay --policy pointsman.toml --what-if error_rate=0.5%,1%,2% access.log
  pointsman replay --policy pointsman.toml --pool green=10.0.0.3:3000 --pool blue=10.0.0.1:3000 \\
      --format '$remote_addr [$time_local] \"$request\" $status $upstream_addr $request_time $upstream_header_time' \\
      /var/log/nginx/access.log";

/// What `replay` is asked for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "Examples: --help")]
pub struct Replay {
    /// Access logs, oldest first: Pointsman's own (JSON or combined), or nginx's combined format with times
    /// appended; gzipped ones too; - is standard input.
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// A configuration of Pointsman, or a file with a policy alone.
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Which policy of the file; without, `default` or the only one.
    #[arg(long, value_name = "NAME")]
    pub policy_name: Option<String>,
    /// Of several in the log.
    #[arg(long)]
    pub service: Option<String>,
    /// The pool that is judged; without, the one that appears later, or else has the least traffic.
    #[arg(long, value_name = "POOL")]
    pub candidate: Option<String>,
    /// The pool that it is compared with; without, the other one with the most traffic.
    #[arg(long, value_name = "POOL")]
    pub stable: Option<String>,
    /// Which pool upstreams belong to, for logs that tell only their addresses.
    #[arg(long = "pool", value_name = "POOL=ADDRESS,...", value_parser = pool)]
    pub pools: Vec<(String, Vec<String>)>,
    /// nginx's log_format of the logs; without, it is detected.
    #[arg(long, value_name = "LOG_FORMAT")]
    pub format: Option<String>,
    /// After so long without a request to the candidate, what follows is another rollout.
    #[arg(long, default_value = "5m", value_parser = gap)]
    pub gap: Duration,
    /// Draw the course as SVG into this file, too.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Show what other limits would trade: when each had decided, and how often it aborts stable's own
    /// traffic. error_rate=1%,2% or alpha=0.01,0.001; without a value, some of both.
    #[arg(long, value_name = "LIMIT=VALUES", num_args = 0..=1, default_missing_value = "")]
    pub what_if: Vec<String>,
    /// Of the resampling of --what-if.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Replay {
    /// `--what-if access.log`: a value that is no limit is a log.
    pub(super) fn sorted(mut self) -> Self {
        let (limits, logs): (Vec<_>, Vec<_>) =
            self.what_if.into_iter().partition(|text| text.is_empty() || text.contains('='));
        let is_bare = limits.is_empty() && !logs.is_empty();
        self.what_if = if is_bare { vec![String::new()] } else { limits };
        self.logs.splice(0..0, logs.into_iter().map(PathBuf::from));
        self
    }
}

fn gap(text: &str) -> Result<Duration, String> {
    let gap = duration::parse(text)?;
    if gap < Duration::from_secs(1) { Err("must be at least 1s".into()) } else { Ok(gap) }
}

fn pool(text: &str) -> Result<(String, Vec<String>), String> {
    let wrong = || format!("{text:?} is not POOL=ADDRESS, such as green=10.0.0.3:3000");
    let (pool, addresses) = text.split_once('=').ok_or_else(wrong)?;
    let addresses: Vec<_> = addresses.split(',').map(|address| address.trim().to_owned()).collect();
    let is_whole = !pool.is_empty() && addresses.iter().all(|address| !address.is_empty());
    if is_whole { Ok((pool.to_owned(), addresses)) } else { Err(wrong()) }
}
