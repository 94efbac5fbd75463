//! The device's end of one connection: does what the driver orders, and tells it what comes.

use super::key;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::transport::BoxChannel;
use crate::wire::DEVICE_BUDGET;
use crate::wire::plist_frame::FrameDecoder;
use crate::wire::property_list;
use openssl::ssl::SslContext;
use plist::{Dictionary, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// Orders that wait for a line: an answer, a handshake, the next question, and some to spare.
const ORDERS: usize = 64;

/// A fatal alert of TLS, handshake_failure (RFC 8446, 6).
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];

/// What a line is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Wait for the next frame of the station. No byte is read before.
    Listen,
    /// Send bytes.
    Say(Vec<u8>),
    /// Shake hands with the station; without a context, refuse to.
    Encrypt(Option<SslContext>),
    /// Break an encrypted connection off with an alert.
    Alert,
    /// Hang up.
    End,
}

/// What a line tells.
#[derive(Debug)]
pub(super) enum Told {
    /// The station said this.
    Frame(Dictionary),
    /// The station said something that is no frame.
    Nonsense,
    /// A handshake ended; whether it succeeded.
    Encrypted(bool),
    /// The station hung up.
    Gone,
}

/// The driver's hold on a line; dropped, the line ends.
#[derive(Debug)]
pub(super) struct Line {
    orders: mpsc::Sender<Order>,
}

impl Line {
    /// Serves `stream`; what comes is told with `number`.
    pub(super) fn start(number: u32, stream: DuplexStream, told: mpsc::Sender<(u32, Told)>) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS);
        tokio::spawn(serve(number, stream, inbox, told));
        Self { orders }
    }

    /// Gives an order; a line that cannot keep up is as good as gone.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }
}

/// A stream that may be encrypted by now; the raw one is kept apart for an alert.
enum Io {
    Plain(DuplexStream),
    Encrypted(Box<tokio_openssl::SslStream<DuplexStream>>),
}

impl Io {
    fn channel(&mut self) -> &mut (dyn crate::transport::Channel + '_) {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => stream,
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> bool {
        let io = self.channel();
        io.write_all(bytes).await.is_ok() && io.flush().await.is_ok()
    }

    /// Writes an alert where the station expects TLS.
    async fn alert(&mut self) {
        let raw = match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => stream.get_mut(),
        };
        let _ = raw.write_all(&ALERT).await;
        let _ = raw.flush().await;
    }
}

async fn serve(
    number: u32,
    stream: DuplexStream,
    mut orders: mpsc::Receiver<Order>,
    told: mpsc::Sender<(u32, Told)>,
) {
    let mut io = Io::Plain(stream);
    let mut decoder = FrameDecoder::new(DEVICE_FRAME_BYTES);
    let mut listening = false;
    loop {
        let tell = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Listen) => {
                    listening = true;
                    None
                }
                Some(Order::Say(bytes)) => (!io.say(&bytes).await).then_some(Told::Gone),
                Some(Order::Encrypt(Some(context))) => {
                    let Io::Plain(stream) = io else { return };
                    match key::accept(&context, stream).await {
                        Some(encrypted) => io = Io::Encrypted(Box::new(encrypted)),
                        None => {
                            let _ = told.send((number, Told::Encrypted(false))).await;
                            return;
                        }
                    }
                    Some(Told::Encrypted(true))
                }
                Some(Order::Encrypt(None)) => {
                    let mut hello = [0; 1];
                    let _ = io.channel().read(&mut hello).await;
                    io.alert().await;
                    let _ = told.send((number, Told::Encrypted(false))).await;
                    return;
                }
                Some(Order::Alert) => return io.alert().await,
                Some(Order::End) | None => return,
            },
            heard = hear(&mut io, &mut decoder), if listening => {
                listening = false;
                Some(heard)
            }
        };
        if let Some(tell) = tell {
            let over = matches!(tell, Told::Gone | Told::Nonsense);
            if told.send((number, tell)).await.is_err() || over {
                return;
            }
        }
    }
}

/// The next frame. Cancel-safe: what was read stays in the decoder.
async fn hear(io: &mut Io, decoder: &mut FrameDecoder) -> Told {
    loop {
        match decoder.next_frame() {
            Ok(Some(body)) => {
                return match property_list::parse(&body, DEVICE_BUDGET) {
                    Ok(Value::Dictionary(fields)) => Told::Frame(fields),
                    _ => Told::Nonsense,
                };
            }
            Ok(None) => {}
            Err(_) => return Told::Nonsense,
        }
        match io.channel().read_buf(decoder.spare()).await {
            Ok(n) if n > 0 => {}
            _ => return Told::Gone,
        }
    }
}

/// The station's end of a new line.
pub(super) fn pair(bytes: usize) -> (BoxChannel, DuplexStream) {
    let (theirs, ours) = tokio::io::duplex(bytes);
    (Box::new(theirs), ours)
}
