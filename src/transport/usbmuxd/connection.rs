//! One connection to a mux socket.

use super::super::{BoxChannel, TransportError};
use super::MuxAddress;
use super::begun::BegunStream;
use crate::limits;
use crate::wire::usbmuxd::{Message, Packet, PacketDecoder, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Our tag on a connection's only request; events carry 0.
const TAG: u32 = 1;

/// Room made for each read: most answers fit.
const READ_BYTES: usize = 1 << 10;

/// A connection before it became a stream or a listener.
#[derive(Debug)]
pub(super) struct MuxConnection {
    address: String,
    io: BoxChannel,
    decoder: PacketDecoder,
}

impl MuxConnection {
    pub(super) async fn open(address: &MuxAddress) -> Result<Self, TransportError> {
        let unreachable = |source| TransportError::MuxUnreachable { address: address.to_string(), source };
        let opened = timeout(limits::MUX_ANSWER, address.open()).await;
        let io = opened.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(unreachable)?;
        Ok(Self { address: address.to_string(), io, decoder: PacketDecoder::new(limits::MUX_REPLY_BYTES) })
    }

    /// Sends the request and reads its answer.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Message, TransportError> {
        let packet = Packet { tag: TAG, payload: request.to_payload() };
        let exchange = async {
            self.io.write_all(&packet.encode()).await?;
            self.io.flush().await
        };
        let sent = timeout(limits::MUX_ANSWER, exchange).await;
        sent.map_err(|_| self.silent())?.map_err(|e| self.lost(e))?;
        timeout(limits::MUX_ANSWER, self.next()).await.map_err(|_| self.silent())?
    }

    /// The next message, whenever it comes. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Message, TransportError> {
        loop {
            let packet =
                self.decoder.next_packet().map_err(|e| TransportError::mux_wire(&self.address, &e))?;
            if let Some(packet) = packet {
                return Ok(Message::from_payload(&packet.payload));
            }
            let spare = self.decoder.spare();
            spare.reserve(READ_BYTES);
            let n = self.io.read_buf(spare).await.map_err(|e| self.lost(e))?;
            if n == 0 {
                return Err(self.lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// The raw stream after Connect succeeded. A service that speaks first may have its first
    /// bytes behind the mux's answer, in the same read.
    pub(super) fn into_stream(self) -> BoxChannel {
        let first = self.decoder.into_rest();
        match first.is_empty() {
            true => self.io,
            false => Box::new(BegunStream::new(first, self.io)),
        }
    }

    fn silent(&self) -> TransportError {
        TransportError::Timeout { what: format!("a request to {}", self.address), after: limits::MUX_ANSWER }
    }

    fn lost(&self, source: std::io::Error) -> TransportError {
        TransportError::MuxUnreachable { address: self.address.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MuxId;
    use crate::transport::Backend;
    use crate::transport::usbmuxd::UsbmuxdBackend;
    use crate::wire::usbmuxd::RESULT_OK;

    #[tokio::test]
    async fn a_service_that_speaks_first_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mux");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mux = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut asked = [0; 16];
            client.read_exact(&mut asked).await.unwrap();
            // The answer and the service's greeting in one write.
            let answer = Packet { tag: TAG, payload: Message::Result(RESULT_OK).to_payload() }.encode();
            client.write_all(&[&answer[..], b"hello"].concat()).await.unwrap();
            client.write_all(b", device").await.unwrap();
        });
        let backend = UsbmuxdBackend::new(MuxAddress::Unix(path));
        let mut stream = backend.connect(MuxId(1), 62078).await.unwrap();
        let mut said = [0; 13];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello, device");
        mux.await.unwrap();
    }
}
