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
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Size of one IN transfer (1.5: USB_MRU).
const IN_BYTES: usize = 16_384;

/// Parallel IN transfers (1.4).
const IN_TRANSFERS: usize = 3;

/// OUT transfers in flight at once: enough to keep the wire busy while a completion travels.
pub(super) const OUT_TRANSFERS: usize = 4;

/// One OUT transfer. A device that takes nothing for so long is dead; a slow application on it
/// holds back its own stream only (1.9).
const OUT_DEADLINE: Duration = Duration::from_secs(10);

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
    out: usize,
    closing: bool,
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
        self.submit(Way::In, self.mux.input, buffer, Duration::ZERO)
    }

    /// Sends one mux packet: one transfer, closed by an empty one where the last packet on the
    /// wire is full (1.5).
    pub(super) fn send(&self, packet: Vec<u8>) -> Result<(), TransferFault> {
        let full = packet.len().is_multiple_of(usize::from(self.mux.max_packet));
        self.submit(Way::Out(false), self.mux.output, packet, OUT_DEADLINE)?;
        if full {
            self.submit(Way::Out(true), self.mux.output, Vec::new(), OUT_DEADLINE)?;
        }
        Ok(())
    }

    /// OUT packets in flight.
    pub(super) fn sending(&self) -> usize {
        self.shared.lock().out
    }

    /// The next thing done, in order.
    pub(super) fn next_done(&self) -> Option<Done> {
        self.shared.lock().done.pop_front()
    }

    /// Waits until something may be done. Cancel-safe.
    pub(super) async fn done(&self) {
        self.shared.done.notified().await;
    }

    /// Cancels everything and waits for it, for a bounded time. False if something stays.
    pub(super) fn cancel(&self) -> bool {
        let mut state = self.shared.lock();
        state.closing = true;
        for transfer in &state.live {
            // SAFETY: it is live, so libusb knows it; the lock keeps the callback from freeing it.
            _ = unsafe { ffi::libusb_cancel_transfer(transfer.0.as_ptr()) };
        }
        let until = Instant::now() + DRAIN;
        while !state.live.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.landed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn submit(
        &self,
        way: Way,
        endpoint: u8,
        buffer: Vec<u8>,
        timeout: Duration,
    ) -> Result<(), TransferFault> {
        let handle = self.handle.as_ref().ok_or(TransferFault::Error)?;
        let length = c_int::try_from(buffer.len()).map_err(|_| TransferFault::Error)?;
        let timeout = c_uint::try_from(timeout.as_millis()).unwrap_or(c_uint::MAX);
        // SAFETY: no preconditions.
        let transfer = NonNull::new(unsafe { ffi::libusb_alloc_transfer(0) }).ok_or(TransferFault::Error)?;
        let mut flight = Box::new(Flight { shared: Arc::clone(&self.shared), buffer, way });
        let bytes = flight.buffer.as_mut_ptr();
        let flight = Box::into_raw(flight);
        // Held until libusb has taken it, so that it is live before it can land.
        let mut state = self.shared.lock();
        if state.closing {
            // SAFETY: both were made above and given to nobody.
            unsafe { discard(transfer, flight) };
            return Err(TransferFault::Gone);
        }
        // SAFETY: libusb made `transfer`; the handle is open, and outlives the transfer (see the
        // head of this file). `bytes` points to `length` bytes on the heap inside the box, which
        // does not move until the callback takes it back.
        let result = unsafe {
            let fields = transfer.as_ptr();
            (*fields).dev_handle = handle.as_raw();
            (*fields).endpoint = endpoint;
            (*fields).transfer_type = c::LIBUSB_TRANSFER_TYPE_BULK;
            (*fields).timeout = timeout;
            (*fields).buffer = bytes;
            (*fields).length = length;
            (*fields).user_data = flight.cast();
            (*fields).callback = landed;
            ffi::libusb_submit_transfer(fields)
        };
        if result != 0 {
            // SAFETY: libusb did not take it, so the callback will not come.
            unsafe { discard(transfer, flight) };
            return Err(if result == c::LIBUSB_ERROR_NO_DEVICE {
                TransferFault::Gone
            } else {
                TransferFault::Error
            });
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

/// # Safety
/// Both must be whole and known to nobody else.
unsafe fn discard(transfer: NonNull<libusb_transfer>, flight: *mut Flight) {
    // SAFETY: as the caller promised.
    unsafe {
        drop(Box::from_raw(flight));
        ffi::libusb_free_transfer(transfer.as_ptr());
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
    fn only_whole_transfers_are_fine() {
        let done = c::LIBUSB_TRANSFER_COMPLETED;
        assert_eq!(fault_of(done, Way::In, false), None);
        assert_eq!(fault_of(done, Way::Out(false), true), None);
        assert_eq!(fault_of(done, Way::Out(false), false), Some(TransferFault::Error));
        assert_eq!(fault_of(c::LIBUSB_TRANSFER_NO_DEVICE, Way::In, false), Some(TransferFault::Gone));
        assert_eq!(fault_of(c::LIBUSB_TRANSFER_STALL, Way::In, false), Some(TransferFault::Stall));
    }
}
