//! `enlist capture`: the mux packets in a capture of a USB bus.

use super::output::{Output, Tone};
use crate::api::view::Exit;
use crate::api::{CaptureLine, OperationError, read_capture, system_words};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// pcap or pcapng file of what usbmon saw (tcpdump -i usbmon0 -s 0 -w FILE); - for standard
    /// input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &CaptureArgs, output: &Output) -> Result<Exit, OperationError> {
    let file: Box<dyn Read> = match args.file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(&args.file).map_err(|error| {
            let said = format!("Cannot open the capture {}: {}.", args.file.display(), system_words(&error));
            OperationError::new(Exit::Usage, said, "Check the path and its rights.")
        })?),
    };
    let mut begin = None;
    let summary = read_capture(file, |line| match output.json {
        true => output.object(&line),
        false => print(&line, *begin.get_or_insert(line.time), output),
    })?;
    if summary.cut_off {
        output.note("warning: the capture ends in the middle of a record");
    }
    if output.json {
        output.object(&json!({ "totals": summary }));
    } else {
        let tone = match (summary.refused, summary.packets) {
            (0, 0) => Tone::Person,
            (0, _) => Tone::Good,
            _ => Tone::Bad,
        };
        let devices = if summary.devices == 1 { "device" } else { "devices" };
        output.line(format!(
            "{} {} packets of {} {devices}, {} refused; {} records",
            output.toned(tone, tone.shape()),
            summary.packets,
            summary.devices,
            summary.refused,
            summary.records
        ));
    }
    if summary.packets == 0 && summary.refused == 0 {
        output.note(
            "No Apple device spoke in it. Begin the capture before the device is plugged in: \
             tcpdump -i usbmon0 -s 0 -w FILE",
        );
    }
    Ok(match (summary.refused, summary.packets) {
        (0, 0) => Exit::NoDevice,
        (0, _) => Exit::Done,
        _ => Exit::Failed,
    })
}

fn print(line: &CaptureLine, begin: Option<Timestamp>, output: &Output) {
    let since = line.time.zip(begin).map(|(time, begin)| time.duration_since(begin).as_secs_f64());
    let time = since.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.6}"));
    let way = if line.from == "host" { "host > device" } else { "device > host" };
    let mut words = vec![line.protocol.unwrap_or_default().to_uppercase()];
    if let Some(tcp) = &line.tcp {
        words.push(format!("{} > {}  {}", tcp.source, tcp.destination, tcp.flags));
        words.push(format!("seq {} ack {} window {} data {}", tcp.seq, tcp.ack, tcp.window, tcp.data));
    }
    if line.length > 0 {
        words.push(format!("{} bytes", line.length));
    }
    if line.missing > 0 {
        words.push(format!("{} not captured", line.missing));
    }
    let verdict = match line.verdict {
        "ok" => output.toned(Tone::Quiet, "ok"),
        wrong => output.toned(Tone::Bad, wrong),
    };
    words.push(verdict);
    words.extend(line.message.clone());
    words.retain(|word| !word.is_empty());
    output.line(format!("{time:>12}  {:<6} {way}  {}", line.device, words.join("  ")));
}
