//! The command line: what `rehearsal` can be told to do.

use crate::config::{DataArgs, LogArgs, ProviderArgs, ServeArgs};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Writes scenarios, runs them against conversational agents, and judges what
/// was said.
#[derive(Parser, Clone, Debug)]
#[command(name = "rehearsal", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    #[allow(missing_docs)] // the commands say themselves
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Serve the pages and the API, and run what is started there
    Serve(Box<ServeArgs>),
    /// Accounts
    User(UserArgs),
    /// Tokens for programs
    Token(TokenArgs),
    /// Import agents and scenarios from files
    Import(Box<ImportArgs>),
}

/// Accounts.
#[derive(Args, Clone, Debug)]
pub struct UserArgs {
    #[command(subcommand)]
    #[allow(missing_docs)] // the commands say themselves
    pub command: UserCommand,
}

/// What to do with accounts.
#[derive(Subcommand, Clone, Debug)]
pub enum UserCommand {
    /// Make an account
    Create {
        #[command(flatten)]
        #[allow(missing_docs)] // the arguments say themselves
        data: DataArgs,
        /// The address to sign in with
        #[arg(long)]
        email: String,
        /// Read the password from standard input: what stands on a command
        /// line, every user of the machine can read
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

/// Tokens for programs.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    #[allow(missing_docs)] // the commands say themselves
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Subcommand, Clone, Debug)]
pub enum TokenCommand {
    /// Make a token and print it, alone, on standard output
    Create {
        #[command(flatten)]
        #[allow(missing_docs)] // the arguments say themselves
        data: DataArgs,
        /// Whose it is
        #[arg(long)]
        email: String,
        /// What it is for
        #[arg(long)]
        name: String,
    },
}

/// Import agents and scenarios from files.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub data: DataArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub log: LogArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub providers: ProviderArgs,

    /// YAML, JSON (also recorded tau-bench conversations), or Markdown (an
    /// agent's prompt)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Whose they become; the only account when absent
    #[arg(long)]
    pub email: Option<String>,

    /// The connection of agents that name none (a prompt in Markdown), by its
    /// name as the server lists it; the first one when absent
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,

    /// The model of agents that name none (a prompt in Markdown); when absent
    /// that of another agent of their connection
    #[arg(long)]
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};
    use rstest::rstest;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[rstest]
    #[case("serve", true)]
    #[case("user create --email a@b.c --password-stdin", true)]
    #[case("user create --email a@b.c", false)]
    #[case("token create --email a@b.c --name ci", true)]
    #[case("token create --email a@b.c", false)]
    #[case("import a.yaml b.json --email a@b.c", true)]
    #[case("import a.md --connection Mine --model m", true)]
    #[case("import", false)]
    #[case("", false)]
    fn commands_are_read(#[case] line: &str, #[case] fine: bool) {
        let args = std::iter::once("rehearsal").chain(line.split_whitespace());
        assert_eq!(Cli::try_parse_from(args).is_ok(), fine);
    }
}
