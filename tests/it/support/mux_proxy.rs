//! A mux in front of the simulator's that lists more devices than are there: the same phone
//! over the network, or one that left without the mux noticing.

use enlist::limits::MUX_REPLY_BYTES;
use enlist::wire::usbmuxd::{AttachedDevice, Message, Packet, PacketDecoder, Request};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

/// Listens at `address`, passes everything on to `behind`, and lists `more` first.
pub(crate) fn start(address: &Path, behind: &Path, more: Vec<AttachedDevice>) {
    let listener = UnixListener::bind(address).unwrap();
    let behind = behind.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (behind, more) = (behind.clone(), more.clone());
            thread::spawn(move || serve(client, &behind, &more));
        }
    });
}

/// Ends with either end.
fn serve(mut client: UnixStream, behind: &PathBuf, more: &[AttachedDevice]) -> Option<()> {
    let mut mux = UnixStream::connect(behind).ok()?;
    let (asked, _) = read_packet(&mut client)?;
    mux.write_all(&asked.encode()).ok()?;
    let (mut answer, rest) = read_packet(&mut mux)?;
    let request = Request::from_payload(&asked.payload).ok();
    if request == Some(Request::ListDevices)
        && let Message::DeviceList(listed) = Message::from_payload(&answer.payload)
    {
        let all = more.iter().cloned().chain(listed).collect();
        answer.payload = Message::DeviceList(all).to_payload();
    }
    client.write_all(&answer.encode()).ok()?;
    if request == Some(Request::Listen) {
        for device in more {
            let payload = Message::Attached(device.clone()).to_payload();
            client.write_all(&Packet { tag: 0, payload }.encode()).ok()?;
        }
    }
    client.write_all(&rest).ok()?;
    let (from_client, to_mux) = (client.try_clone().ok()?, mux.try_clone().ok()?);
    thread::spawn(move || pass_on(from_client, to_mux));
    pass_on(mux, client);
    Some(())
}

fn read_packet(stream: &mut UnixStream) -> Option<(Packet, Vec<u8>)> {
    let mut decoder = PacketDecoder::new(MUX_REPLY_BYTES);
    let mut chunk = [0; 4096];
    loop {
        if let Some(packet) = decoder.next_packet().ok()? {
            return Some((packet, decoder.into_rest()));
        }
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        decoder.feed(&chunk[..n]);
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
