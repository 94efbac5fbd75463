//! What the device did when it was recorded, done again.

use super::{Driver, Open};
use crate::ids::MuxId;
use crate::limits::DEVICE_FRAME_BYTES;
use crate::transport::recorder::entry::{End, MuxMark, What};
use crate::transport::replay::line::Order;
use crate::transport::replay::mutation::Instead;
use crate::transport::replay::tape::Placed;
use crate::transport::{Attachment, BackendEvent};
use crate::wire::fields::Fields;
use crate::wire::{notification_proxy, plist_frame};
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The time of a device (3.5); a recording holds how far it was ahead.
const DEVICE_TIME: &str = "TimeIntervalSince1970";

impl Driver {
    /// What comes next on a connection: an answer, a handshake, or a question.
    pub(super) fn go_on(&mut self, number: u32) {
        let Some(open) = self.lines.get(&number) else { return };
        let (at, line) = (open.at, &open.line);
        let Some(next) = self.tape.next_of(at) else { return line.order(Order::Listen) };
        let (before, after) = (&self.tape.entries[at], &self.tape.entries[next]);
        let speaks_by_itself = self.tape.service_of(at) == Some(notification_proxy::SERVICE);
        match after.entry.what {
            What::Tls(true) => match self.parts.key.server(&self.parts.certificate) {
                Ok(context) => line.order(Order::Encrypt(Some(context))),
                Err(error) => {
                    tracing::debug!(%error, "no certificate for the replayed device");
                    line.order(Order::Encrypt(None));
                }
            },
            What::Tls(false) => line.order(Order::Encrypt(None)),
            What::Device(_) | What::Garbage(_) | What::Broken(_) | What::Ended(_)
                if matches!(before.entry.what, What::Host(_)) && !speaks_by_itself =>
            {
                if !matches!(after.entry.what, What::Ended(End::Unanswered)) {
                    let late = Duration::from_millis(after.entry.t.saturating_sub(before.entry.t));
                    self.answers.push((Instant::now() + late, number, next));
                }
            }
            _ => line.order(Order::Listen),
        }
    }

    /// Does what the line at `at` says, which is the device's and no answer.
    pub(super) fn play(&mut self, at: usize) {
        let tape = Arc::clone(&self.tape);
        match &tape.entries[at].entry.what {
            What::Attached(_) => {
                self.pass(at);
                self.attach();
            }
            What::Detached(_) => {
                self.pass(at);
                self.detach();
            }
            What::Mux(MuxMark::Lost) => {
                self.pass(at);
                self.present = None;
                self.lines.clear();
                let reason = "it was lost when this was recorded".to_owned();
                self.tell(&BackendEvent::Lost { reason });
            }
            What::Mux(MuxMark::Ready) => {
                self.pass(at);
                self.tell(&BackendEvent::Ready);
            }
            _ => {
                let c = tape.entries[at].entry.c;
                let of = |(_, open): &(&u32, &Open)| tape.entries[open.at].entry.c == c;
                let number = self.lines.iter().find(of).map(|(number, _)| *number);
                self.say(number, at);
            }
        }
    }

    /// Says on a connection what the line at `at` holds.
    pub(super) fn say(&mut self, number: Option<u32>, at: usize) {
        self.pass(at);
        let Some(number) = number.filter(|number| self.lines.contains_key(number)) else {
            // The station hung up; what it was not waiting for, it need not hear.
            return;
        };
        let tape = Arc::clone(&self.tape);
        let placed = &tape.entries[at];
        let bytes = match &placed.entry.what {
            What::Device(_) => {
                let Some(bytes) = self.answer(number, placed) else { return };
                bytes
            }
            What::Garbage(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX).clamp(1, DEVICE_FRAME_BYTES);
                let mut frame = u32::try_from(length).unwrap_or_default().to_be_bytes().to_vec();
                frame.resize(4 + length, b'~');
                frame
            }
            What::Broken(length) => u32::try_from(*length).unwrap_or(u32::MAX).to_be_bytes().to_vec(),
            What::Ended(end) => return self.end(number, *end),
            _ => return,
        };
        self.said(number, at, bytes);
    }

    fn said(&mut self, number: u32, at: usize, bytes: Vec<u8>) {
        let Some(open) = self.lines.get_mut(&number) else { return };
        open.line.order(Order::Say(bytes));
        open.at = at;
        self.go_on(number);
    }

    fn end(&mut self, number: u32, end: End) {
        let Some(open) = self.lines.remove(&number) else { return };
        match end {
            End::Closed => open.line.order(Order::End),
            End::Cut => open.line.order(Order::Say(vec![0, 0, 1, 0, b'<'])),
            End::Tls => open.line.order(Order::Alert),
            // The line stays silent for as long as the station holds on to it.
            End::Unanswered => _ = self.lines.insert(number, open),
        }
    }

    /// The bytes of an answer; `None` if something else was done.
    fn answer(&mut self, number: u32, placed: &Placed) -> Option<Vec<u8>> {
        let mut frame = placed.frame.clone()?;
        // Placeholders that the device has are not given to what the station says.
        self.scrubber.at(0.0).frame(&frame);
        self.parts.key.fill(&mut frame);
        self.set_time(&mut frame);
        self.set_supervisor(&mut frame);
        self.opens(number, &frame);
        let whole = || plist_frame::encode(&Value::Dictionary(frame.clone()));
        match self.mutator.as_mut().and_then(|mutator| mutator.instead(&frame)) {
            None => Some(whole()),
            Some(Instead::Bytes(bytes)) => Some(bytes),
            Some(Instead::Cut(bytes)) => {
                if let Some(open) = self.lines.remove(&number) {
                    open.line.order(Order::Say(bytes));
                }
                None
            }
            Some(Instead::Late(late, bytes)) => {
                if let Some(open) = self.lines.remove(&number) {
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        open.line.order(Order::Say(bytes));
                    });
                }
                None
            }
            Some(Instead::Silence) => None,
            Some(Instead::Slip(away)) => {
                self.detach();
                self.back = Some(Instant::now() + away);
                None
            }
        }
    }

    fn set_time(&self, frame: &mut Dictionary) {
        let is_asked = frame.text("Key") == Some(DEVICE_TIME);
        let slot = match frame.get_mut("Value") {
            Some(Value::Dictionary(values)) => values.get_mut(DEVICE_TIME),
            value if is_asked => value,
            _ => None,
        };
        let now = self.parts.clock.now();
        match slot {
            Some(Value::Real(ahead)) => *ahead += now.as_duration().as_secs_f64(),
            Some(Value::Integer(ahead)) => {
                *ahead = ahead.as_signed().unwrap_or_default().saturating_add(now.as_second()).into();
            }
            _ => {}
        }
    }

    /// A station that escalated was among the device's supervisors (4.6): now this one is.
    fn set_supervisor(&self, frame: &mut Dictionary) {
        let Some(certificate) =
            self.parts.supervisor.as_ref().filter(|_| self.tape.asked("Escalate").is_some())
        else {
            return;
        };
        let configuration = frame.get_mut("CloudConfiguration").and_then(Value::as_dictionary_mut);
        let listed = configuration.and_then(|c| c.get_mut("SupervisorHostCertificates"));
        if let Some(first) = listed.and_then(Value::as_array_mut).and_then(|listed| listed.first_mut()) {
            *first = Value::Data(certificate.clone());
        }
    }

    /// The port that an answer to StartService names leads to that service.
    fn opens(&mut self, number: u32, answer: &Dictionary) {
        let asked = self.lines.get(&number).and_then(|open| self.tape.entries[open.at].frame.as_ref());
        let service = asked.and_then(|asked| asked.text("Service"));
        let port = answer.uint("Port").and_then(|port| u16::try_from(port).ok());
        if let (Some(service), Some(port)) = (service, port) {
            self.ports.insert(port, service.to_owned());
        }
    }

    pub(super) fn attach(&mut self) {
        if self.present.is_some() {
            return;
        }
        self.attachments += 1;
        let attachment = Attachment {
            id: MuxId(self.attachments),
            udid: self.tape.udid.clone(),
            location: None,
            port: None,
            speed: None,
            product_id: None,
            simulated: true,
        };
        self.present = Some(attachment.clone());
        self.tell(&BackendEvent::Attached(attachment));
    }

    fn detach(&mut self) {
        self.lines.clear();
        self.answers.clear();
        if let Some(gone) = self.present.take() {
            self.tell(&BackendEvent::Detached(gone.id));
        }
    }

    /// Tells all watchers; one that went away or sleeps is told no more.
    fn tell(&mut self, event: &BackendEvent) {
        self.watchers.retain(|watcher| watcher.try_send(event.clone()).is_ok());
    }
}
