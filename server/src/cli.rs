//! The command line.

use crate::config::{DataArgs, LogArgs, ProviderArgs, ServeArgs};
use crate::suite_run::RunArgs;
use clap::{Args, Parser, Subcommand};
use domain::limits;
use std::path::PathBuf;

/// Tests conversational agents: runs scenarios against them and judges the transcripts
#[derive(Parser, Clone, Debug)]
#[command(name = "rehearsal", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Start the server
    Serve(Box<ServeArgs>),
    /// Manage accounts
    User(UserArgs),
    /// Manage API tokens
    Token(TokenArgs),
    /// Import agents and scenarios from files
    Import(Box<ImportArgs>),
    /// Run scenarios on a server, wait for the results, and exit with 0 if enough passed
    Run(Box<RunArgs>),
}

#[derive(Args, Clone, Debug)]
pub struct UserArgs {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Subcommand, Clone, Debug)]
pub enum UserCommand {
    /// Create an account
    Create {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        log: LogArgs,
        /// Email address of the account
        #[arg(long)]
        email: String,
        /// Read the password from standard input, because other users of the machine
        /// can read command lines
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Replace a forgotten password and end all sessions of the user
    ResetPassword {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        log: LogArgs,
        /// Email address of the account
        #[arg(long)]
        email: String,
        /// Read the new password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Subcommand, Clone, Debug)]
pub enum TokenCommand {
    /// Create a token and print it to standard output
    Create {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        log: LogArgs,
        /// Email address of the owner
        #[arg(long)]
        email: String,
        /// Name of the token
        #[arg(long)]
        name: String,
        /// Days until the token stops working
        #[arg(long, value_name = "DAYS", default_value_t = limits::TOKEN_DAYS,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::TOKEN_MAX_DAYS)))]
        expires_in_days: u32,
    },
}

#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    #[command(flatten)]
    pub data: DataArgs,

    #[command(flatten)]
    pub log: LogArgs,

    #[command(flatten)]
    pub providers: ProviderArgs,

    /// YAML, JSON or Markdown (the prompt of an agent). The format is detected: documents of
    /// Rehearsal, Retell and Vapi definitions, tau2-bench tasks, recorded tau-bench
    /// conversations
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Email address of the owner; default: the only account
    #[arg(long)]
    pub email: Option<String>,

    /// Name of the connection for agents without one, such as Markdown prompts; default:
    /// the first connection
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,

    /// Check the files and list what would be imported, without saving anything
    #[arg(long)]
    pub dry_run: bool,

    /// Model for agents without one, such as Markdown prompts; default: the model of
    /// another agent with the same connection
    #[arg(long)]
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};
    use rstest::rstest;

    #[test]
    fn command_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[rstest]
    #[case("serve", true)]
    #[case("user create --email a@b.c --password-stdin", true)]
    #[case("user create --email a@b.c", false)]
    #[case("user reset-password --email a@b.c --password-stdin", true)]
    #[case("user reset-password --email a@b.c", false)]
    #[case("token create --email a@b.c --name ci", true)]
    #[case("token create --email a@b.c --name ci --expires-in-days 7", true)]
    #[case("token create --email a@b.c --name ci --expires-in-days 0", false)]
    #[case("token create --email a@b.c", false)]
    #[case("import a.yaml b.json --email a@b.c", true)]
    #[case("import a.md --connection Mine --model m", true)]
    #[case("import a.json --dry-run", true)]
    #[case("import", false)]
    #[case("run --server https://a.example/ --token t --agent A --scenarios all", true)]
    #[case("run --server http://[::1]:3000 --token t --agent A --scenarios tag=ci", true)]
    #[case("run --server a.example --token t --agent A --scenarios all", false)]
    #[case("run --server https://u:p@a.example --token t --agent A --scenarios all", false)]
    #[case("run --server https://a.example --token t --agent A", false)]
    #[case("run --server https://a.example --token t --agent A --scenarios all --repeats 0", false)]
    #[case("", false)]
    fn commands_are_parsed(#[case] line: &str, #[case] valid: bool) {
        let args = std::iter::once("rehearsal").chain(line.split_whitespace());
        assert_eq!(Cli::try_parse_from(args).is_ok(), valid);
    }
}
