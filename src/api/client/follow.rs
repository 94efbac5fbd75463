//! Following a station: its event stream, taken up again whenever it breaks.

use super::stream::{Message, Stream};
use super::{ANSWER, Client, ClientError, Exchange, understood};
use crate::api::view::BayView;
use crate::api::view::station::{SnapshotView, TroubleView};
use hyper::body::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Silence this long means that the connection is gone: a station says something every 10 s.
const SILENCE: Duration = Duration::from_secs(26);

/// Pause before the connection is tried again; twice as long each time, up to the longest.
const AGAIN: Duration = Duration::from_millis(500);

/// A technician who plugged the network in again should not wait longer.
const AGAIN_AT_MOST: Duration = Duration::from_secs(4);

/// What is told and not taken yet. Then the connection is not read, and the station sends
/// everything anew once this side comes after.
const UNTAKEN: usize = 64;

/// What a follower is told.
#[derive(Debug)]
pub enum Told {
    /// The connection stands; changes follow, or everything.
    Live,
    /// Everything, as it is now.
    Everything(Box<SnapshotView>),
    /// A bay stands differently.
    Bay(Box<BayView>),
    /// Why there is no way to the devices, or that there is one.
    Mux(Option<String>),
    /// Why the journal cannot be written, or that it can.
    Journal(Option<String>),
    /// The station is being stopped.
    Stopped,
    /// The connection is gone, and is tried again.
    Lost(ClientError),
}

/// Follows a station until it is dropped.
#[derive(Debug)]
pub struct Follower {
    told: mpsc::Receiver<Told>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins: the first connection must stand. Afterwards what is lost is told, and tried again.
    ///
    /// # Errors
    /// [`ClientError`] of the first connection.
    pub async fn start(client: Client) -> Result<Self, ClientError> {
        let first = Following::begin(&client, None).await?;
        let (sender, told) = mpsc::channel(UNTAKEN);
        let task = tokio::spawn(follow(client, first, sender));
        Ok(Self { told, task })
    }

    /// What is told next; `None` never, while the program runs. Cancel-safe.
    pub async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, first: Following, sender: mpsc::Sender<Told>) {
    let mut last = None;
    let mut begun = Ok(first);
    let mut pause = AGAIN;
    loop {
        let ended = match begun {
            Ok(following) => following.run(&client, &mut last, &mut pause, &sender).await,
            Err(error) => Some(error),
        };
        let Some(error) = ended else { return };
        if sender.send(Told::Lost(error)).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN_AT_MOST);
        begun = Following::begin(&client, last.as_deref()).await;
    }
}

/// A connection that stands.
struct Following {
    exchange: Exchange,
    stream: Stream,
    bytes: Bytes,
}

impl Following {
    async fn begin(client: &Client, last: Option<&str>) -> Result<Self, ClientError> {
        let last = last.map(|id| ("last-event-id", id));
        let asked = timeout(ANSWER, client.ask("/api/v1/events", last.as_slice())).await;
        let exchange = asked.map_err(|_| client.silent())??;
        Ok(Self { exchange, stream: Stream::default(), bytes: Bytes::new() })
    }

    /// Tells until the connection ends, and gives why; `None` if nobody listens any more.
    async fn run(
        mut self,
        client: &Client,
        last: &mut Option<String>,
        pause: &mut Duration,
        sender: &mpsc::Sender<Told>,
    ) -> Option<ClientError> {
        sender.send(Told::Live).await.ok()?;
        loop {
            // Bytes that never make a message are silence too.
            let message = match timeout(SILENCE, self.message(client)).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => return Some(error),
                Err(_) => return Some(client.silent()),
            };
            *pause = AGAIN;
            match told(&message) {
                Ok(Some(told)) => sender.send(told).await.ok()?,
                Ok(None) => {}
                Err(what) => return Some(client.not_understood(what)),
            }
            // What could not be understood is asked for again, not left out.
            if message.id.is_some() {
                *last = message.id;
            }
        }
    }

    async fn message(&mut self, client: &Client) -> Result<Message, ClientError> {
        loop {
            let mut unread = &self.bytes[..];
            let message = self.stream.next(&mut unread);
            let read = self.bytes.len() - unread.len();
            let _ = self.bytes.split_to(read);
            match message {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(super::stream::TooLong) => {
                    return Err(client.not_understood("an event is too long".into()));
                }
            }
            let bytes = self.exchange.bytes().await.map_err(|error| client.broken(&error))?;
            self.bytes = bytes.ok_or_else(|| client.ended())?;
        }
    }
}

/// A message in words; `None` for a sign of life, and for what is not known.
fn told(message: &Message) -> Result<Option<Told>, String> {
    let trouble = || understood::read::<TroubleView>(&message.data).map(|view| view.trouble);
    Ok(Some(match message.event.as_str() {
        "snapshot" | "resync" => Told::Everything(understood::read(&message.data)?),
        "bay" => Told::Bay(understood::read(&message.data)?),
        "mux" => Told::Mux(trouble()?),
        "journal" => Told::Journal(trouble()?),
        "end" => Told::Stopped,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::client::Target;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

    /// A server that answers one connection after the other with these bytes, then endlessly
    /// with the last piece, until the client goes. Gives the requests.
    async fn hostile(answers: Vec<(String, Vec<u8>)>) -> (Client, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut requests = Vec::new();
            for (begin, endless) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 2048];
                let read = stream.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..read]).into_owned());
                let _ = stream.write_all(begin.as_bytes()).await;
                while !endless.is_empty() && stream.write_all(&endless).await.is_ok() {}
            }
            requests
        });
        (Client::new(Target::of_address(address, false), None, None).unwrap(), server)
    }

    fn why(error: ClientError) -> String {
        error.to_string().split("127.0.0.1").last().unwrap().split_once(' ').unwrap().1.to_owned()
    }

    #[tokio::test]
    async fn what_never_ends_is_given_up() {
        let begun = Instant::now();
        let endless = |begin: &str, piece: &str| (begin.to_owned(), piece.repeat(1000).into_bytes());
        let (client, _server) = hostile(vec![
            endless("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
            endless("HTTP/1.1 200 OK\r\nx: ", "y"),
            endless("", "\x1b[2J"),
            endless("SSH-2.0-OpenSSH\r\n", ""),
        ])
        .await;
        for _ in 0..3 {
            let said = why(Follower::start(client.clone()).await.unwrap_err());
            assert!(said.starts_with("says cannot be used"), "{said}");
        }
        assert!(Follower::start(client).await.is_err());
        // Each ends by its size, long before its deadline.
        assert!(begun.elapsed() < ANSWER, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_endless_answer_or_event_or_garbage_is_told_and_tried_again() {
        let (client, server) = hostile(vec![
            (format!("{HEAD}event: bay\nid: e-1\ndata: "), b"{\"bay\":".repeat(1000)),
            (format!("{HEAD}event: mux\nid: e-2\ndata: {{\"trouble\":\"\\u001b[2J\"}}\n\nevent: bay\nid: e-3\ndata: nonsense\n\n"), vec![]),
            (format!("{HEAD}event: end\ndata: {{}}\n\n"), vec![]),
        ])
        .await;
        let mut follower = Follower::start(client).await.unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &String| last != "Stopped") {
            heard.push(match follower.next().await.unwrap() {
                Told::Lost(error) => why(error),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(
            heard,
            [
                "Live",
                "says cannot be used: an event is too long",
                "Live",
                r#"Mux(Some("\\u{1b}[2J"))"#,
                "says cannot be used: it is no JSON",
                "Live",
                "Stopped"
            ]
        );
        drop(follower);
        let requests = server.await.unwrap();
        assert!(!requests[1].contains("last-event-id"), "{requests:?}");
        assert!(requests[2].contains("last-event-id: e-2\r\n"), "what was not understood comes again");
    }

    #[tokio::test]
    async fn a_long_answer_is_not_kept() {
        let endless = ("HTTP/1.1 200 OK\r\n\r\n[".to_owned(), b"0,".repeat(1000));
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 40\r\n\r\n{\"detail\":\"No.\",\"next\":\"Ask \\u0007it.\"}\n\n";
        let (client, _server) = hostile(vec![endless, (refusal.to_owned(), vec![])]).await;
        let said = why(client.get::<Vec<u64>>("/api/v1/jobs").await.unwrap_err());
        assert_eq!(said, "says cannot be used: the answer is too long");
        let refused = client.get::<Vec<u64>>("/api/v1/jobs").await.unwrap_err();
        assert_eq!(refused.next(), r"Ask \u{7}it.");
        assert_eq!(why(refused), "refuses: No");
    }
}
