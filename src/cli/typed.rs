//! What was typed, parsed: flags of the admin API are for the commands that ask it.

use super::args::{Args, Connection};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, Error, FromArgMatches};
use clap_complete::CompleteEnv;

/// Set where a shell asks for what completes a line: the shell's name.
const COMPLETING: &str = "POINTSMAN_COMPLETE";
/// Commands that never ask the admin API.
const LOCAL: [&str; 10] =
    ["run", "check", "demo", "replay", "import", "token", "schema", "openapi", "completions", "man"];
const OUTPUT: &str = "output";
const ALL: [&str; 6] = ["admin", "token", "ca", "cert", "key", OUTPUT];
/// Commands that print in one form.
const OF_ONE_FORM: [&str; 6] = ["run", "demo", "schema", "openapi", "completions", "man"];

/// All commands. A command has the flags that do something in it; before the command all of them can be typed.
pub(super) fn command() -> Command {
    let mut whole = Args::command();
    let flags = whole.get_arguments().filter(|arg| ALL.contains(&arg.get_id().as_str())).cloned();
    let (output, admin): (Vec<Arg>, Vec<Arg>) = flags.partition(|arg| arg.get_id() == OUTPUT);
    whole = whole.mut_subcommands(|of| match of.get_name().to_owned() {
        name if OF_ONE_FORM.contains(&&*name) => of,
        name if LOCAL.contains(&&*name) => with(of, &output),
        _ => with(with(of, &output), &admin),
    });
    whole.build();
    whole
}

/// Adds flags to a command and to those below it.
fn with(command: Command, flags: &[Arg]) -> Command {
    command.args(flags).mut_subcommands(|of| with(of, flags))
}

impl Args {
    /// What was typed; on a fault, or where help or the version is asked for, the process ends with it.
    pub fn typed() -> Args {
        let mut command = command();
        let matches = command.get_matches_mut();
        Args::meant(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }

    /// Flags can stand before the command, too, where those of the environment are read; later ones win.
    fn meant(matches: &ArgMatches) -> Result<Args, Error> {
        let mut args = Args::from_arg_matches(matches)?;
        let (mut name, mut last) = (String::new(), matches);
        while let Some((below, of)) = last.subcommand() {
            name.push_str(&format!(" {below}"));
            last = of;
            if has(last, "admin") {
                args.connection.replace(Connection::from_arg_matches(last)?, |flag| is_typed(last, flag));
            }
            if is_typed(last, OUTPUT) {
                args.output = last.get_one(OUTPUT).copied().unwrap_or(args.output);
            }
        }
        match ALL.iter().find(|flag| is_typed(matches, flag) && !has(last, flag)) {
            Some(flag) => {
                let detail = format!("--{flag} does nothing in `pointsman{name}`: leave it out\n");
                Err(Error::raw(ErrorKind::UnknownArgument, detail))
            }
            None => Ok(args),
        }
    }
}

/// Whether a command has a flag at all.
fn has(matches: &ArgMatches, flag: &str) -> bool {
    matches.try_contains_id(flag).is_ok()
}

fn is_typed(matches: &ArgMatches, flag: &str) -> bool {
    has(matches, flag) && matches.value_source(flag) == Some(ValueSource::CommandLine)
}

/// Whether a shell asks what completes a line.
pub fn is_completing() -> bool {
    std::env::var_os(COMPLETING).is_some()
}

/// Answers a shell, and ends the process.
pub fn complete() {
    CompleteEnv::with_factory(command).var(COMPLETING).complete();
}

/// What a shell runs once, so that it asks from then on.
pub(super) fn registration(shell: &str) -> std::io::Result<Vec<u8>> {
    let shells = clap_complete::env::Shells::builtins();
    let completer = shells.completer(shell).ok_or(std::io::ErrorKind::NotFound)?;
    let mut script = Vec::new();
    completer.write_registration(COMPLETING, "pointsman", "pointsman", "pointsman", &mut script)?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_of(words: &[&str]) -> String {
        let words = ["pointsman"].iter().chain(words).chain(&["--help"]);
        command().try_get_matches_from(words).expect_err("help").to_string()
    }

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn flags_of_the_admin_api_stand_where_they_do_something_and_apart() {
        let names: Vec<String> = command().get_subcommands().map(|of| of.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help") {
            let is_local = LOCAL.contains(&name.as_str());
            assert_eq!(help_of(&[name]).contains("--admin"), !is_local, "{name}");
        }
        for words in [&["import", "nginx"], &["token", "new"]] {
            assert!(!help_of(words).contains("--admin"), "{words:?}");
        }
        let help = help_of(&["rollout", "start"]);
        let heading = help.find("Admin API:").expect("a heading");
        assert!(
            help.find("--admin").expect("a flag") > heading && help.find("--to").expect("a flag") < heading
        );
    }
}
