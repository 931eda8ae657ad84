//! A small HTTP client for `bench` and `seed`, which talk to a server on this machine.
//! It uses HTTP/1.0: one request per connection, and a body that ends with it.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests to one address, with a bearer token if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
    token: Option<String>,
}

impl Client {
    /// `address` is `HOST:PORT`.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), token: None }
    }

    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Whether the path returns a 2xx status.
    pub(crate) fn is_ok(&self, path: &str) -> bool {
        self.send("GET", path, None).is_ok()
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        read_json(self.send("GET", path, None)?)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        read_json(self.send("POST", path, Some(&body.to_string()))?)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value> {
        read_json(self.send("PUT", path, Some(&body.to_string()))?)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        self.send("DELETE", path, None).map(|_| ())
    }

    /// The body of a response, as it arrives.
    pub(crate) fn stream(&self, path: &str) -> Result<impl BufRead + use<>> {
        self.send("GET", path, None)
    }

    /// Returns the body. Fails if the status is not 2xx.
    fn send(&self, method: &str, path: &str, body: Option<&str>) -> Result<BufReader<TcpStream>> {
        let shown = || format!("{method} http://{}{path}", self.address);
        let mut stream = TcpStream::connect(&self.address).with_context(shown)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        if let Some(body) = body {
            let length = body.len();
            request += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        stream.write_all(request.as_bytes()).with_context(shown)?;

        let mut reader = BufReader::new(stream);
        let status = read_head(&mut reader).with_context(shown)?;
        if !(200..300).contains(&status) {
            let mut text = String::new();
            reader.read_to_string(&mut text).with_context(shown)?;
            bail!("{} returned {status}: {text}", shown());
        }
        Ok(reader)
    }
}

/// Reads up to the body and returns the status.
fn read_head(reader: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("invalid status line {line:?}"))?;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(status);
        }
    }
}

/// An empty body is null.
fn read_json(mut body: impl Read) -> Result<Value> {
    let mut text = String::new();
    body.read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("the response is not JSON: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::TcpListener;

    /// Sends one request to a server that returns `response`. Returns the request too.
    fn exchange(response: &'static str) -> (Result<Value>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"}") {
                length += stream.read(&mut request[length..]).unwrap();
            }
            stream.write_all(response.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let result = Client::new(&address).with_token("t").post("/x", &json!({"a": 1}));
        (result, server.join().unwrap())
    }

    #[test]
    fn request_has_token_and_body_and_response_is_parsed() {
        let (result, request) = exchange("HTTP/1.0 201 Created\r\nA: b\r\n\r\n{\"id\": 7}");
        assert_eq!(result.unwrap(), json!({"id": 7}));
        assert!(request.starts_with("POST /x HTTP/1.0\r\n"), "{request}");
        assert!(request.contains("Authorization: Bearer t\r\n"), "{request}");
        assert!(request.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn error_contains_status_and_body() {
        let (result, _) = exchange("HTTP/1.0 422 Unprocessable\r\n\r\nno name");
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with("/x returned 422: no name"), "{error}");
    }
}
