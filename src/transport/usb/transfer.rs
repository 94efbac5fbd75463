//! The bulk transfers of one device, many in flight at once (protocols.md 1.5).
//!
//! May import: base, rusb.
//!
//! The only unsafe code: rusb has no asynchronous transfers, so libusb is called itself. What
//! keeps it sound:
//! - A transfer and its buffer belong to libusb from submission to the callback, as one box
//!   ([`Flight`]) that nobody else can reach.
//! - A transfer is in `live` exactly as long as it may be cancelled; entering, cancelling and
//!   leaving happen under one lock, and it is freed only after it left.
//! - The handle outlives all transfers: [`Pipes`] waits for them, or else never closes it. It
//!   is never closed by the callback, which libusb forbids.
#![allow(unsafe_code)]

use super::descriptors::MuxInterface;
use rusb::constants as c;
use rusb::ffi::{self, libusb_transfer};
use rusb::{Context, DeviceHandle};
use std::collections::VecDeque;
use std::ffi::{c_int, c_uint};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Size of one IN transfer (1.5: USB_MRU).
const IN_BYTES: usize = 16_384;

/// Parallel IN transfers: twice as many as usbmuxd has (1.4), so that the cable has work while a
/// full packet of three is taken off. A hundred devices stay below the system's memory for USB.
const IN_TRANSFERS: usize = 6;

/// OUT transfers in flight at once: enough to keep the wire busy while a completion travels.
pub(super) const OUT_TRANSFERS: usize = 4;

/// One OUT transfer. A device that takes nothing for so long is dead; a slow application on it
/// holds back its own stream only (1.9).
const OUT_DEADLINE: Duration = Duration::from_secs(10);

/// Pause before the system is asked again for memory. Linux gives all USB programs 16 MiB
/// together by default, which a hundred busy devices can use up for a moment.
const MEMORY_PAUSE: Duration = Duration::from_millis(5);

/// How long cancelled transfers are waited for; the kernel gives them back at once.
const DRAIN: Duration = Duration::from_secs(1);

/// What a transfer came to.
#[derive(Debug)]
pub(super) enum Done {
    /// Bytes from the device: the buffer and how much of it is filled.
    In(Vec<u8>, usize),
    /// A whole packet went out.
    Out,
    /// A transfer failed; how. Nothing works on this device any more.
    Failed(TransferFault),
}

/// How a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TransferFault {
    /// Unplugged.
    #[error("the device is gone")]
    Gone,
    /// An endpoint is halted.
    #[error("the device halted its mux endpoint")]
    Stall,
    /// The device takes nothing.
    #[error("the device took nothing for {} s", OUT_DEADLINE.as_secs())]
    Timeout,
    /// More came than was asked for.
    #[error("the device sent more than was asked for")]
    Overflow,
    /// Anything else.
    #[error("a transfer failed")]
    Error,
}

/// The two bulk endpoints of a mux interface.
#[derive(Debug)]
pub(super) struct Pipes {
    /// `None` only while being dropped.
    handle: Option<Arc<DeviceHandle<Context>>>,
    mux: MuxInterface,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the task that takes what is done.
    done: Notify,
    /// Wakes who waits for the last transfer without being a task.
    landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    done: VecDeque<Done>,
    live: Vec<Live>,
    /// OUT packets in flight.
    out: usize,
    /// Transfers the system had no memory for yet, in order; each way for itself.
    owed: VecDeque<(Way, Vec<u8>)>,
    closing: bool,
}

impl State {
    /// OUT packets given to us and not yet gone.
    fn sending(&self) -> usize {
        self.out + self.owed.iter().filter(|(way, _)| *way == Way::Out(false)).count()
    }

    fn owes(&self, way: Way) -> bool {
        self.owed.iter().any(|(owed, _)| (*owed == Way::In) == (way == Way::In))
    }
}

/// A submitted transfer.
#[derive(Debug, PartialEq, Eq)]
struct Live(NonNull<libusb_transfer>);

// SAFETY: only a name. It is given to libusb_cancel_transfer alone, which any thread may call.
unsafe impl Send for Live {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    /// True for the zero-length packet behind another transfer.
    Out(bool),
}

/// What belongs to libusb while a transfer is in flight.
struct Flight {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    way: Way,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipes {
    /// Pipes over a claimed mux interface; starts reading.
    ///
    /// # Errors
    /// If the system takes no transfer.
    pub(super) fn open(handle: Arc<DeviceHandle<Context>>, mux: MuxInterface) -> Result<Self, TransferFault> {
        let pipes = Self { handle: Some(handle), mux, shared: Arc::default() };
        for _ in 0..IN_TRANSFERS {
            pipes.listen(vec![0; IN_BYTES])?;
        }
        Ok(pipes)
    }

    /// Asks for more bytes, into a buffer that [`Done::In`] gave.
    pub(super) fn listen(&self, buffer: Vec<u8>) -> Result<(), TransferFault> {
        self.submit(Way::In, buffer)
    }

    /// Sends one mux packet: one transfer, closed by an empty one where the last packet on the
    /// wire is full (1.5).
    pub(super) fn send(&self, packet: Vec<u8>) -> Result<(), TransferFault> {
        let full = packet.len().is_multiple_of(usize::from(self.mux.max_packet));
        self.submit(Way::Out(false), packet)?;
        if full {
            self.submit(Way::Out(true), Vec::new())?;
        }
        Ok(())
    }

    /// OUT packets in flight.
    pub(super) fn sending(&self) -> usize {
        self.shared.lock().sending()
    }

    /// Tries again what the system had no memory for.
    ///
    /// # Errors
    /// If it does not take it for another reason.
    pub(super) fn retry(&self) -> Result<(), TransferFault> {
        let mut state = self.shared.lock();
        for (way, buffer) in std::mem::take(&mut state.owed) {
            self.submit_or_owe(&mut state, way, buffer)?;
        }
        Ok(())
    }

    /// The next thing done, in order.
    pub(super) fn next_done(&self) -> Option<Done> {
        self.shared.lock().done.pop_front()
    }

    /// Waits until something may be done. Cancel-safe.
    pub(super) async fn done(&self) {
        let short = !self.shared.lock().owed.is_empty();
        tokio::select! {
            () = self.shared.done.notified() => {}
            () = tokio::time::sleep(MEMORY_PAUSE), if short => {}
        }
    }

    /// Cancels everything and waits for it, for a bounded time. False if something stays.
    pub(super) fn cancel(&self) -> bool {
        let mut state = self.shared.lock();
        state.closing = true;
        state.owed.clear();
        for transfer in &state.live {
            // SAFETY: it is live, so libusb knows it; the lock keeps the callback from freeing it.
            _ = unsafe { ffi::libusb_cancel_transfer(transfer.0.as_ptr()) };
        }
        let landed = self.shared.landed.wait_timeout_while(state, DRAIN, |state| !state.live.is_empty());
        !landed.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn submit(&self, way: Way, buffer: Vec<u8>) -> Result<(), TransferFault> {
        self.submit_or_owe(&mut self.shared.lock(), way, buffer)
    }

    /// Keeps the order of each way.
    fn submit_or_owe(&self, state: &mut State, way: Way, buffer: Vec<u8>) -> Result<(), TransferFault> {
        if state.closing {
            return Err(TransferFault::Gone);
        }
        if state.owes(way) {
            state.owed.push_back((way, buffer));
            return Ok(());
        }
        match self.start(state, way, buffer) {
            Ok(()) => Ok(()),
            Err((c::LIBUSB_ERROR_NO_MEM, buffer)) => {
                state.owed.push_back((way, buffer));
                Ok(())
            }
            Err((c::LIBUSB_ERROR_NO_DEVICE, _)) => Err(TransferFault::Gone),
            Err(_) => Err(TransferFault::Error),
        }
    }

    /// Hands a transfer to libusb; its error and the buffer if it does not take it. `state` is
    /// held all the while, so that the transfer is live before it can land.
    fn start(&self, state: &mut State, way: Way, mut buffer: Vec<u8>) -> Result<(), (c_int, Vec<u8>)> {
        let (endpoint, timeout) = match way {
            Way::In => (self.mux.input, Duration::ZERO),
            Way::Out(_) => (self.mux.output, OUT_DEADLINE),
        };
        let Some(handle) = &self.handle else { return Err((c::LIBUSB_ERROR_NO_DEVICE, buffer)) };
        let Ok(length) = c_int::try_from(buffer.len()) else {
            return Err((c::LIBUSB_ERROR_INVALID_PARAM, buffer));
        };
        // SAFETY: no preconditions.
        let Some(transfer) = NonNull::new(unsafe { ffi::libusb_alloc_transfer(0) }) else {
            return Err((c::LIBUSB_ERROR_NO_MEM, buffer));
        };
        let bytes = buffer.as_mut_ptr();
        let flight = Box::into_raw(Box::new(Flight { shared: Arc::clone(&self.shared), buffer, way }));
        // SAFETY: libusb made `transfer`; the handle is open, and outlives the transfer (see the
        // head of this file). `bytes` points to `length` bytes on the heap that the buffer in
        // the flight owns, and nobody touches it until the callback takes it back.
        let result = unsafe {
            let fields = transfer.as_ptr();
            (*fields).dev_handle = handle.as_raw();
            (*fields).endpoint = endpoint;
            (*fields).transfer_type = c::LIBUSB_TRANSFER_TYPE_BULK;
            (*fields).timeout = c_uint::try_from(timeout.as_millis()).unwrap_or(c_uint::MAX);
            (*fields).buffer = bytes;
            (*fields).length = length;
            (*fields).user_data = flight.cast();
            (*fields).callback = landed;
            ffi::libusb_submit_transfer(fields)
        };
        if result != 0 {
            // SAFETY: libusb did not take it, so the callback will not come: both are still ours.
            let flight = unsafe {
                ffi::libusb_free_transfer(transfer.as_ptr());
                Box::from_raw(flight)
            };
            return Err((result, flight.buffer));
        }
        state.live.push(Live(transfer));
        state.out += usize::from(way == Way::Out(false));
        Ok(())
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        if !self.cancel() {
            tracing::warn!("USB transfers did not come back; their device stays open");
            std::mem::forget(self.handle.take());
        }
    }
}

/// libusb calls this from the event thread, once a transfer.
extern "system" fn landed(transfer: *mut libusb_transfer) {
    // SAFETY: libusb hands back what `submit` gave it, and it is ours again.
    let (flight, status, length, actual) = unsafe {
        let flight = Box::from_raw((*transfer).user_data.cast::<Flight>());
        (flight, (*transfer).status, (*transfer).length, (*transfer).actual_length)
    };
    let Flight { shared, buffer, way } = *flight;
    let mut state = shared.lock();
    state.live.retain(|live| live.0.as_ptr() != transfer);
    // SAFETY: it left `live` under the lock, so nobody can cancel it any more.
    unsafe { ffi::libusb_free_transfer(transfer) };
    state.out -= usize::from(way == Way::Out(false));
    match (fault_of(status, way, length == actual), way) {
        _ if state.closing => {}
        (Some(fault), _) => state.done.push_back(Done::Failed(fault)),
        (None, Way::In) => {
            let filled = usize::try_from(actual).unwrap_or(0).min(buffer.len());
            state.done.push_back(Done::In(buffer, filled));
        }
        (None, Way::Out(false)) => state.done.push_back(Done::Out),
        (None, Way::Out(true)) => {}
    }
    drop(state);
    shared.done.notify_one();
    shared.landed.notify_all();
}

fn fault_of(status: c_int, way: Way, whole: bool) -> Option<TransferFault> {
    Some(match status {
        c::LIBUSB_TRANSFER_COMPLETED if way == Way::In || whole => return None,
        c::LIBUSB_TRANSFER_NO_DEVICE => TransferFault::Gone,
        c::LIBUSB_TRANSFER_STALL => TransferFault::Stall,
        c::LIBUSB_TRANSFER_TIMED_OUT => TransferFault::Timeout,
        c::LIBUSB_TRANSFER_OVERFLOW => TransferFault::Overflow,
        _ => TransferFault::Error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_in_flight_and_holds_back_its_own_way_only() {
        let mut state = State { out: 1, ..State::default() };
        state.owed.extend([(Way::Out(false), vec![1]), (Way::Out(true), vec![])]);
        assert_eq!(state.sending(), 2);
        assert!(state.owes(Way::Out(false)) && state.owes(Way::Out(true)) && !state.owes(Way::In));
    }

    #[test]
    fn only_whole_transfers_are_fine() {
        let done = c::LIBUSB_TRANSFER_COMPLETED;
        assert_eq!(fault_of(done, Way::In, false), None);
        assert_eq!(fault_of(done, Way::Out(false), true), None);
        assert_eq!(fault_of(done, Way::Out(false), false), Some(TransferFault::Error));
        assert_eq!(fault_of(c::LIBUSB_TRANSFER_NO_DEVICE, Way::In, false), Some(TransferFault::Gone));
        assert_eq!(fault_of(c::LIBUSB_TRANSFER_STALL, Way::In, false), Some(TransferFault::Stall));
    }
}
