//! `enlist capture`, as a shell sees it, and what went over the virtual bus read back from a
//! capture of it.

#[path = "../support/capture.rs"]
mod writer;

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/captures/");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enlist"));
    command.arg("capture").args(arguments).env_remove("ENLIST_CONFIG");
    command
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn capture(arguments: &[&str]) -> (Option<i32>, String, String) {
    told(command(arguments).output().unwrap())
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}{name}")
}

#[test]
fn each_packet_is_a_line_and_its_contents_are_none() {
    let (code, out, err) = capture(&[&fixture("usbmon.pcap")]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].ends_with("1.7    host > device  VERSION  20 bytes  ok  2.0"), "{out}");
    assert!(lines[3].contains("CONTROL") && lines[3].ends_with("kind 7: hello"), "{out}");
    let open = "TCP  1 > 62078  SYN  seq 0 ack 1 window 131072 data 0  36 bytes  ok";
    assert!(lines[4].trim_start().starts_with("0.004000") && lines[4].ends_with(open), "{out}");
    assert_eq!(lines.len(), 15);
    assert_eq!(lines[14], "✔ 14 packets of 1 device, 0 refused; 32 records");
}

#[test]
fn every_form_of_file_tells_the_same() {
    let json = |name: &str| {
        let (code, out, _) = capture(&["--json", &fixture(name)]);
        let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
        (code, lines.collect::<Vec<Value>>())
    };
    let (code, usual) = json("usbmon.pcap");
    assert_eq!((code, usual.len()), (Some(0), 15));
    assert_eq!(usual[0]["time"], "2020-09-13T12:26:40Z");
    let segment = &usual[5];
    assert_eq!((&segment["flags"], &segment["source"]), (&"SYN ACK".into(), &62078.into()), "{segment}");
    for name in ["big-endian-nanoseconds.pcap", "usbmon.pcapng"] {
        let (code, other) = json(name);
        assert_eq!((code, &other[..14]), (Some(0), &usual[..14]), "{name}");
    }
    let (code, late) = json("begins-late.pcap");
    assert_eq!((code, late.len()), (Some(0), 7));
    let (code, short) = json("short-snapshot.pcap");
    assert_eq!((code, short.len()), (Some(0), 15));
    assert!(short[13]["missing"] == 0 && short[12]["missing"].as_u64() > Some(16_000), "{short:?}");
    let (code, broken) = json("broken-header.pcap");
    assert_eq!(code, Some(1));
    assert!(broken.iter().any(|line| line["verdict"] == "broken"), "{broken:?}");
    assert_eq!(broken.last().unwrap()["totals"]["refused"], 1);
}

#[test]
fn standard_input_and_what_is_no_capture() {
    let file = std::fs::read(fixture("usbmon.pcap")).unwrap();
    let mut piped =
        command(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(&file[..file.len() - 5]).unwrap();
    let (code, out, err) = told(piped.wait_with_output().unwrap());
    assert_eq!((code, out.lines().count()), (Some(0), 15));
    assert!(err.contains("ends in the middle of a record"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pcap");
    std::fs::write(&empty, writer::CaptureWriter::new(writer::Form::USUAL).finish()).unwrap();
    assert_eq!(capture(&[empty.to_str().unwrap()]).0, Some(4));
    let (code, _, err) = capture(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    assert!(code == Some(2) && err.contains("neither pcap nor pcapng") && err.contains("tcpdump"), "{err}");
    let (code, _, err) = capture(&["/nowhere.pcap"]);
    assert!(code == Some(2) && err.contains("No such file"), "{err}");
}

/// A phone on the virtual bus, with somebody who writes down what goes over its cable.
#[cfg(target_os = "linux")]
mod bus {
    use super::writer::{CaptureWriter, Form};
    use crate::support::bus::descriptors::Descriptors;
    use crate::support::bus::device::{Control, In, Out, Setup, Upstream, VirtualDevice};
    use crate::support::bus::iphone::{IPhone, MUX_IN, MUX_OUT};
    use crate::support::bus::on_bus;
    use crate::support::usb_station::{Role, Station};
    use enlist::wire::mux_packet::Packet;
    use enlist::wire::usb_capture::{CaptureReader, Sender, What};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const UDID: &str = "00008110-001A2B3C4D5E6F70";
    const ADDRESS: (u16, u8) = (1, 2);

    struct Tape {
        writer: CaptureWriter,
        time: Duration,
        /// What went over the mux's endpoints.
        sent: Vec<u8>,
        received: Vec<u8>,
    }

    struct Tapped {
        phone: IPhone,
        tape: Arc<Mutex<Tape>>,
    }

    impl VirtualDevice for Tapped {
        fn descriptors(&self) -> Descriptors {
            self.phone.descriptors()
        }

        fn first_configuration(&self) -> Option<u8> {
            self.phone.first_configuration()
        }

        fn attached(&mut self, upstream: Arc<dyn Upstream>) {
            self.phone.attached(upstream);
        }

        fn detached(&mut self) {
            self.phone.detached();
        }

        fn configured(&mut self, configuration: Option<u8>) {
            VirtualDevice::configured(&mut self.phone, configuration);
        }

        fn reset(&mut self) {
            self.phone.reset();
        }

        fn control(&mut self, setup: &Setup, data: &[u8]) -> Option<Control> {
            self.phone.control(setup, data)
        }

        fn bulk_out(&mut self, endpoint: u8, bytes: Vec<u8>) -> Out {
            let answer = self.phone.bulk_out(endpoint, bytes.clone());
            if answer == Out::Taken && endpoint == MUX_OUT {
                let mut tape = self.tape.lock().unwrap();
                tape.time += Duration::from_micros(7);
                let time = tape.time;
                tape.writer.out(time, ADDRESS, endpoint, &bytes);
                tape.sent.extend(bytes);
            }
            answer
        }

        fn bulk_in(&mut self, endpoint: u8, length: usize) -> In {
            let answer = self.phone.bulk_in(endpoint, length);
            if let (In::Data(data), MUX_IN) = (&answer, endpoint) {
                let mut tape = self.tape.lock().unwrap();
                tape.time += Duration::from_micros(7);
                let time = tape.time;
                tape.writer.input(time, ADDRESS, endpoint, length, data);
                tape.received.extend(data);
            }
            answer
        }
    }

    /// What children run.
    #[test]
    fn station() {
        crate::support::usb_station::run_if_asked();
    }

    #[test]
    fn what_went_over_the_virtual_bus_comes_out_identical() {
        on_bus("capture::bus::what_went_over_the_virtual_bus_comes_out_identical", |bus| {
            let form = Form { ng: true, ..Form::USUAL };
            let tape = Tape {
                writer: CaptureWriter::new(form),
                time: Duration::ZERO,
                sent: Vec::new(),
                received: Vec::new(),
            };
            let tape = Arc::new(Mutex::new(tape));
            let phone = {
                let _inside = bus.runtime().enter();
                IPhone::new(UDID)
            };
            let plugged = bus.plug("1", Tapped { phone, tape: tape.clone() });
            let mut station = Station::start(bus, "capture::bus::station", Role::Usb);
            station.event("attached");
            assert!(station.ask(&format!("echo {UDID} 300000")).starts_with("echoed"));
            plugged.unplug();
            station.event("detached");
            let mut tape = tape.lock().unwrap();
            let writer = std::mem::replace(&mut tape.writer, CaptureWriter::new(form));
            let (mut sent, mut received, mut data) = (Vec::new(), Vec::new(), [0, 0]);
            let mut reader = CaptureReader::default();
            reader
                .feed(&writer.finish(), |seen| {
                    let What::Packet { bytes, missing: 0, verdict: Ok(packet) } = seen.what else {
                        panic!("{seen:?}")
                    };
                    let from_host = seen.sender == Sender::Host;
                    if from_host { &mut sent } else { &mut received }.extend_from_slice(bytes);
                    if let Packet::Tcp { data: carried, .. } = packet.packet {
                        data[usize::from(from_host)] += carried.len();
                    }
                })
                .unwrap();
            assert!(sent == tape.sent && received == tape.received);
            assert_eq!(data, [300_000, 300_000]);
            let totals = reader.finish().unwrap();
            assert!(totals.devices == 1 && !totals.cut_off, "{totals:?}");
        });
    }
}
