//! The least that a client can do: the same calls as the server makes, over connections
//! that stay open, without storing anything. Dividing by its time removes the speed of
//! the machine from a measurement.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The calls of one conversation, in order.
#[derive(Clone, Debug)]
pub(super) struct Conversation(Vec<Vec<u8>>);

impl Conversation {
    /// One conversation among the requests that the server made: its agent calls grow by
    /// two messages per turn, and its judge call comes last.
    pub(super) fn from_log(log: &[Value], address: &str, turns: u32) -> Result<Self> {
        let find = |role: &str, messages: Option<u32>| {
            let body = log.iter().find(|request| {
                request["role"] == role && messages.is_none_or(|count| request["messages"] == count)
            });
            let body = body.with_context(|| format!("no call: {role}, {messages:?}"))?;
            Ok(request(address, &body["body"].to_string()))
        };
        let agent = (0..turns).map(|turn| find("agent", Some(2 * turn + 1)));
        let calls: Result<Vec<_>> = agent.chain([find("judge", None)]).collect();
        Ok(Self(calls?))
    }
}

fn request(address: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer sk-bench-12345678\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Has `count` conversations, `concurrency` at a time. A refused call waits for its own
/// `Retry-After`, and a failed one is repeated at once. Returns the seconds.
pub(super) fn run(
    address: &str,
    conversation: &Conversation,
    count: u32,
    concurrency: u32,
) -> Result<f64> {
    let started = Instant::now();
    let next = AtomicU32::new(0);
    let converse = || -> Result<()> {
        let mut connection = Connection::open(address)?;
        while next.fetch_add(1, Ordering::Relaxed) < count {
            for call in &conversation.0 {
                connection.call(call)?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..concurrency).map(|_| scope.spawn(converse)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
        };
        threads.into_iter().try_for_each(join)
    })?;
    Ok(started.elapsed().as_secs_f64())
}

struct Connection(BufReader<TcpStream>);

/// The head of a response.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    retry_after: Duration,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Repeats the call until it succeeds.
    fn call(&mut self, request: &[u8]) -> Result<()> {
        loop {
            self.0.get_mut().write_all(request)?;
            let head = read_head(&mut self.0)?;
            let mut body = vec![0; head.length];
            self.0.read_exact(&mut body)?;
            match head.status {
                200 => return Ok(()),
                429 => thread::sleep(head.retry_after),
                status => ensure!(status == 500, "the provider replied {status}"),
            }
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Result<Head> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("invalid status line {line:?}"))?;
    let mut head = Head { status, ..Head::default() };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { return Ok(head) };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.trim().parse()?,
            "retry-after" => head.retry_after = Duration::from_secs(value.trim().parse()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::TcpListener;

    #[test]
    fn refused_call_waits_and_failed_call_is_repeated() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let responses = [
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno",
                "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes",
            ];
            let mut arrivals = Vec::new();
            for response in responses {
                let mut body = [0; 1];
                while body != *b"!" {
                    reader.read_exact(&mut body).unwrap();
                }
                arrivals.push(Instant::now());
                reader.get_mut().write_all(response.as_bytes()).unwrap();
            }
            arrivals
        });
        let conversation = Conversation(vec![request(&address, "!")]);
        run(&address, &conversation, 1, 1).unwrap();
        let arrivals = server.join().unwrap();
        assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(1));
        assert_eq!(arrivals.len(), 3);
    }

    #[test]
    fn conversation_consists_of_the_calls_of_each_turn_and_of_the_judge() {
        let agent =
            |messages: u32| json!({"role": "agent", "messages": messages, "body": messages});
        let judge = json!({"role": "judge", "messages": 1, "body": "judge"});
        let log = [judge, agent(3), agent(1), agent(3)];
        let bodies = |turns| {
            let conversation = Conversation::from_log(&log, "x", turns).ok()?;
            let text = |call: Vec<u8>| String::from_utf8(call).unwrap();
            let body = |call| text(call).rsplit("\r\n").next().unwrap().to_owned();
            Some(conversation.0.into_iter().map(body).collect::<Vec<_>>())
        };
        assert_eq!(bodies(2).unwrap(), ["1", "3", "\"judge\""]);
        assert_eq!(bodies(3), None, "no call has five messages");
    }
}
