//! Settings of the network that model calls use.

use clap::Args;
use llm::OutboundNetwork;
use llm::network::check_no_proxy;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;

use super::values::secret;

/// How calls to providers reach the network.
#[derive(Args, Clone, Debug)]
pub struct NetworkArgs {
    /// HTTP proxy for all calls to providers and agents, like `http://user:password@proxy:3128`
    #[arg(long, env = "REHEARSAL_OUTBOUND_PROXY", hide_env_values = true, value_parser = secret)]
    outbound_proxy: Option<SecretString>,

    /// Hosts that are called without the proxy: names with their subdomains, addresses and
    /// networks, separated by commas
    #[arg(long, env = "REHEARSAL_NO_PROXY", default_value = "")]
    no_proxy: String,

    /// File with certificates of authorities (PEM) that are trusted beside those of the machine
    #[arg(long, env = "REHEARSAL_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl NetworkArgs {
    /// Checks everything except the file. Returns a message for each problem.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(problem) = self.proxy_network() {
            problems.push(problem);
        }
        if let Err(problem) = check_no_proxy(&self.no_proxy) {
            problems.push(format!("REHEARSAL_NO_PROXY {problem}."));
        }
        if self.proxy().is_none() && !self.no_proxy.trim().is_empty() {
            let problem = "REHEARSAL_NO_PROXY is set, but REHEARSAL_OUTBOUND_PROXY is not.";
            problems.push(problem.to_owned());
        }
        problems
    }

    /// The proxy and the authorities.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn outbound(&self) -> Result<OutboundNetwork, String> {
        let network = self.proxy_network()?;
        let Some(file) = self.ca_file.as_ref().filter(|file| !file.as_os_str().is_empty()) else {
            return Ok(network);
        };
        let shown = file.display();
        let pem = std::fs::read(file)
            .map_err(|error| format!("REHEARSAL_CA_FILE {shown} cannot be read: {error}."))?;
        network.with_authorities(&pem).map_err(|why| format!("REHEARSAL_CA_FILE {shown} {why}."))
    }

    fn proxy(&self) -> Option<&str> {
        let url = self.outbound_proxy.as_ref()?.expose_secret();
        Some(url).filter(|url| !url.is_empty())
    }

    fn proxy_network(&self) -> Result<OutboundNetwork, String> {
        let Some(url) = self.proxy() else { return Ok(OutboundNetwork::default()) };
        let network = OutboundNetwork::default().with_proxy(url, &self.no_proxy);
        network.map_err(|why| format!("REHEARSAL_OUTBOUND_PROXY {why}."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServeArgs;
    use clap::Parser;
    use rstest::rstest;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(args: &[&str]) -> ServeArgs {
        let args = std::iter::once("rehearsal").chain(args.iter().copied());
        TestCli::try_parse_from(args).map(|cli| cli.serve).expect("valid")
    }

    #[rstest]
    #[case(&["--outbound-proxy", "http://user:hunter2@proxy:3128", "--no-proxy", "a.b, 10.0.0.0/8"], &[])]
    #[case(&["--outbound-proxy", ""], &[])]
    #[case(&["--outbound-proxy", "socks5://user:hunter2@proxy"],
        &["REHEARSAL_OUTBOUND_PROXY must start with http:// or https://."])]
    #[case(&["--outbound-proxy", "http://proxy", "--no-proxy", "http://a.b"],
        &["REHEARSAL_NO_PROXY contains \"http://a.b\", which is no name, address or network (without scheme and port)."])]
    #[case(&["--no-proxy", "a.b"],
        &["REHEARSAL_NO_PROXY is set, but REHEARSAL_OUTBOUND_PROXY is not."])]
    fn invalid_settings_are_reported(#[case] args: &[&str], #[case] expected: &[&str]) {
        let args = parse(args);
        assert_eq!(args.network.check(), expected);
        assert_eq!(args.check().err().unwrap_or_default(), expected);
        assert!(!format!("{args:?}").contains("hunter2"));
    }

    #[test]
    fn unusable_ca_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let path = file.to_str().expect("UTF-8");
        let read = || parse(&["--ca-file", path]).network.outbound().expect_err("unusable");
        assert!(read().starts_with(&format!("REHEARSAL_CA_FILE {path} cannot be read: ")));
        std::fs::write(&file, "PEM").expect("written");
        let expected = "contains no certificate in PEM format (BEGIN CERTIFICATE).";
        assert_eq!(read(), format!("REHEARSAL_CA_FILE {path} {expected}"));
    }
}
