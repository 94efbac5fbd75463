//! Every bound of the program, each with its reason.
//!
//! A wait has a deadline, a queue a size, a frame a limit: a hostile or broken
//! device, file, peer or person can hurt nobody but its own job.

use std::time::Duration;

// ---- lengths -------------------------------------------------------------------

/// Longest plist frame of lockdown and its services, in bytes: the device's own
/// maximum, 3 MiB (protocols.md 3.1). Profiles travel inside one such frame.
pub const DEVICE_FRAME_BYTES: usize = 0x30_0000;

/// Longest message of the usbmuxd socket we accept from a mux, in bytes. The daemon
/// itself stops at 64 KiB for requests (2.2); its device lists may be longer, about
/// 700 bytes a device, so this leaves room for more devices than USB can address.
pub const MUX_REPLY_BYTES: usize = 1 << 20;

/// Longest request a mux server takes from a client (2.2: usbmuxd closes above it).
pub const MUX_REQUEST_BYTES: usize = 65_536;

/// Longest packet of the USB mux, header included (1.5: reassembly buffer).
pub const MUX_PACKET_BYTES: usize = 65_536;

/// Longest mux packet we send, header included (1.5: USB_MTU).
pub const MUX_OUT_BYTES: usize = 49_152;

/// Bytes a device may send on a stream before we acknowledge (1.9).
pub const STREAM_WINDOW: u32 = 131_072;

/// Bytes of a stream we keep for its reader. Twice [`STREAM_WINDOW`], as usbmuxd has it
/// (1.9): a device that counts a little differently is no enemy yet.
pub const STREAM_RECEIVE_BYTES: usize = 262_144;

/// Bytes of a stream that wait to be sent: three packets, so that one can be filled while
/// others travel.
pub const STREAM_SEND_BYTES: usize = 3 * MUX_OUT_BYTES;

/// A profile file larger than this is refused before it is read
/// (profiles-and-enrollment.md 1.1, rule L48).
pub const PROFILE_REFUSE_BYTES: usize = 10 << 20;

/// A profile file larger than this draws a warning (L48): no export is near it.
pub const PROFILE_WARN_BYTES: usize = 1 << 20;

/// A profile longer than this is not pushed: it travels as base64 inside one frame of
/// [`DEVICE_FRAME_BYTES`], which grows it by a third plus line breaks and indents.
pub const PROFILE_PUSH_BYTES: usize = 2 << 20;

/// Deepest nesting of a property list. Apple's own files stay below ten; the plist
/// crate recurses, so this keeps its stack safe (1.2).
pub const PLIST_DEPTH: usize = 64;

/// Most objects a property list may unfold to, shared references counted each time
/// (1.2: 209 bytes can otherwise exhaust memory).
pub const PLIST_OBJECTS: usize = 200_000;

/// Longest pair record we read from a mux, in bytes. Real ones are 7 to 12 KiB.
pub const PAIR_RECORD_BYTES: usize = 256 << 10;

/// Most errors of an `ErrorChain` we keep. Real chains have two to four links (4.3).
pub const ERROR_CHAIN_LINKS: usize = 16;

/// Longest text of a device we keep in an error, in characters.
pub const DEVICE_TEXT_CHARS: usize = 600;

/// Longest event the journal takes, in bytes of JSON: a whole error chain of the longest
/// texts stays below half of it.
pub const JOURNAL_EVENT_BYTES: usize = 256 << 10;

/// Jobs a query of the history returns unless told otherwise: a few batch days.
pub const HISTORY_ROWS: u32 = 1000;

/// Largest list of devices for Intune that is read, in bytes: three times what Intune takes,
/// so that one that is too long still has its lines checked (3.7).
pub const CSV_BYTES: u64 = 15_000_000;

/// Largest manifest of a batch, in bytes: [`MANIFEST_ROWS`] lines with every column filled.
pub const MANIFEST_BYTES: usize = 32 << 20;

/// Most devices of one batch: a batch day has hundreds, a school district tens of thousands.
pub const MANIFEST_ROWS: usize = 100_000;

/// Wrong lines of a manifest that are told one by one.
pub const MANIFEST_FAULTS: usize = 10;

/// Largest report that is checked, in bytes: [`MANIFEST_ROWS`] entries as a page, which holds
/// them twice.
pub const REPORT_BYTES: u64 = 512 << 20;

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES: usize = 1 << 20;

/// What a hook printed, as far as the journal keeps it, in bytes: the end, where errors stand.
pub const HOOK_OUTPUT_BYTES: usize = 4 << 10;

// ---- queues --------------------------------------------------------------------

/// Attach and detach events waiting for the station. USB has 127 addresses per bus;
/// a hub reset on four full buses fits twice.
pub const BACKEND_EVENTS: usize = 1024;

/// Journal entries waiting for the writer. Each job waits for its own commit, so one
/// slot per device is used; the rest is headroom.
pub const JOURNAL_QUEUE: usize = 1024;

/// Published station changes a slow screen may lag behind before it must resynchronise.
pub const SNAPSHOT_BACKLOG: usize = 4096;

/// Updates the event feed keeps for screens that come back: with 128 devices in work a few
/// minutes, so that a laptop's short sleep needs no new snapshot.
pub const FEED_BACKLOG: usize = 4096;

/// Devices of one host controller that are worked with at once: more than USB can address, so
/// that nothing is held back until something goes badly.
pub const MOST_AT_ONCE: usize = 256;

/// The fewest, however badly it goes: with one a single slow device would hold up a bench.
pub const LEAST_AT_ONCE: usize = 2;

/// Hooks that run at once: each is a process.
pub const HOOKS_AT_ONCE: usize = 8;

/// Devices whose hooks may wait; further ones are left out and the log says so.
pub const HOOKS_WAITING: usize = 1024;

/// Connections a mux server holds at once: 512 devices with two service connections
/// each and as many listeners.
pub const MUX_CLIENTS: usize = 2048;

/// Streams to one device at once. A job uses two; the rest is for clients of our mux socket.
pub const STREAMS_PER_DEVICE: usize = 64;

/// Resets that wait to be sent to one device. Each stream may need one; beyond that a
/// device that goes on sending on closed streams need not hear of each packet.
pub const MUX_RESETS: usize = 2 * STREAMS_PER_DEVICE;

/// Events of one device's mux that may wait before it stops making new ones that only the
/// peer decides about: messages, and connections asked for.
pub const MUX_EVENTS: usize = 4 * STREAMS_PER_DEVICE;

/// Versions of one device's pair record we keep, newest first.
pub const PAIR_RECORD_VERSIONS: usize = 20;

// ---- deadlines -----------------------------------------------------------------

/// Connect to the usbmuxd socket and get one answer. The daemon answers from memory.
pub const MUX_ANSWER: Duration = Duration::from_secs(10);

/// Pause before VERSION is sent again to a device that has just enumerated (1.12).
pub const MUX_VERSION_PAUSE: Duration = Duration::from_secs(1);

/// Times VERSION is sent before a device counts as silent (1.12).
pub const MUX_VERSION_TRIES: u32 = 3;

/// Answer of a device to SYN (1.8).
pub const STREAM_OPEN: Duration = Duration::from_secs(10);

/// Time a closed stream has to deliver what was written to it; usbmuxd gives the other
/// direction as long (1.9).
pub const STREAM_FLUSH: Duration = Duration::from_secs(1);

/// One lockdown answer. Some domains take the device seconds (3.5).
pub const LOCKDOWN_ANSWER: Duration = Duration::from_secs(30);

/// One answer to Pair; on recent systems the dialog itself may take 30 s to come up
/// while the answer is held back (3.6).
pub const PAIR_ANSWER: Duration = Duration::from_secs(60);

/// One TLS handshake with a device.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(20);

/// One short MCInstall answer: hello, list, cloud configuration, remove.
pub const MCINSTALL_ANSWER: Duration = Duration::from_secs(60);

/// InstallProfile during Setup Assistant fetches an identity and checks in to the MDM
/// server before it answers: "at least 5 minutes" (4.5).
pub const INSTALL_ANSWER: Duration = Duration::from_secs(420);

/// ProceedWithKeybagMigration "may take long, 300 s limit" (4.6).
pub const KEYBAG_ANSWER: Duration = Duration::from_secs(300);

/// SetCloudConfiguration may ask Apple first, "up to about 2 minutes" (4.7).
pub const CONFIGURE_ANSWER: Duration = Duration::from_secs(180);

/// A device that acknowledged its erase leaves the bus within this time, or never will.
pub const ERASE_BEGINS: Duration = Duration::from_secs(120);

/// An erased device is back within this time: it makes new keys, restarts, and "typically
/// after 20-60 s" (3.13) enumerates; old ones with much storage take minutes.
pub const ERASE_TAKES: Duration = Duration::from_secs(900);

/// A user has to finish an enrollment with affinity within this time (R59).
pub const AFFINITY_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// After an invalid answer of the SCEP server the management may be fetched again this long
/// (R153).
pub const SCEP_SECOND_CHANCE: Duration = Duration::from_secs(15 * 60);

/// Pause between polls of the Trust dialog (3.6: "poll once a second").
pub const TRUST_POLL: Duration = Duration::from_secs(1);

/// Pause between tries while a device is locked.
pub const UNLOCK_POLL: Duration = Duration::from_secs(2);

/// Pause between reads of the profile list while a person acts (R24: every 2 s).
pub const PROFILE_POLL: Duration = Duration::from_secs(2);

/// Life of a queued profile on the device (4.5: purged after 480 s).
pub const PENDING_PROFILE: Duration = Duration::from_secs(480);

/// Grace after [`PENDING_PROFILE`] before we call it expired: the device counts from
/// its own queueing, we from its answer.
pub const PENDING_GRACE: Duration = Duration::from_secs(5);

/// After a reply was lost during a silent install: the device goes on by itself
/// (4.5), so look this long before pushing again. Counted from the first look after the loss:
/// a station that was restarted knows nothing of how far the device had come.
pub const LOST_INSTALL_SETTLE: Duration = Duration::from_secs(45);

/// Pauses between automatic retries (R13: 5, 10, 20, 40, 60 s).
pub const RETRY_PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
    Duration::from_secs(60),
];

/// First pause before reconnecting to a mux that went away; doubles up to
/// [`MUX_BACKOFF_MAX`].
pub const MUX_BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest pause before reconnecting to a mux.
pub const MUX_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Wait for another program that writes to the journal's file, such as a person with the
/// `sqlite3` shell; stations keep each other out with a lock of their own.
pub const JOURNAL_BUSY: Duration = Duration::from_secs(5);

/// Pause before a journal that could not be written is tried again: a full disk is full for
/// minutes, and its owner should see at once that space helped.
pub const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// Time that hooks of the last jobs have when a run is over.
pub const HOOKS_GRACE: Duration = Duration::from_secs(60);

/// Time a cancelled run gives its jobs to write down where they stand.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Pushes of one job that may break before it gives up: a cable that breaks each time would
/// otherwise push for ever.
pub const LOST_INSTALLS: usize = 2;

/// Pushes of one job whose answer may be lost in any way: a station that is killed each time
/// is not the cable's fault, but may not push for ever either.
pub const LOST_ANSWERS: usize = 24;

/// Pauses between new connections to a device that is attached but breaks them.
pub const RECONNECT_PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// A device that comes back to its port within this time was plugged in once: devices
/// enumerate several times in their first seconds (1.12).
pub const REPLUG_DEBOUNCE: Duration = Duration::from_secs(3);

/// Detaches of a device from one bay within [`FLAP_WINDOW`] that quarantine it: a person
/// who tries a cable twice makes fewer, a loose contact makes more.
pub const FLAP_DETACHES: usize = 5;

/// See [`FLAP_DETACHES`].
pub const FLAP_WINDOW: Duration = Duration::from_secs(60);

/// A quarantined device that stays attached this long is let in again.
pub const FLAP_CALM: Duration = Duration::from_secs(30);

/// A job whose device is quarantined waits at least this long: time for a calm stay after
/// somebody took another cable.
pub const FLAP_PATIENCE: Duration = Duration::from_secs(90);

/// A rung of the recovery ladder may take this long: a port's power stays off for seconds,
/// and a hub may take its time.
pub const RUNG_TAKES: Duration = Duration::from_secs(20);

/// A rung that is impossible says so at once; one that takes longer is shown.
pub const RUNG_NOTICE: Duration = Duration::from_millis(50);

/// The detach and the attach that prove that a rung was taken. A device enumerates within a
/// second or two of a reset; a phone that boots would take longer, but nothing boots it.
pub const RUNG_PROOF: Duration = Duration::from_secs(10);
/// One lookup of an app. It is worth a remark only, so a device that is slow may keep it.
pub const APP_LOOKUP: Duration = Duration::from_secs(5);

/// A session that is still needed is used at least so often: a device drops one that was silent
/// for a minute (3.1).
pub const SESSION_POKE: Duration = Duration::from_secs(30);

/// A wait for a person that lasts so long is worth a look into the device's log (R149).
pub const LOG_AFTER: Duration = Duration::from_secs(60);

/// A look into the log after a push failed for the network's reasons: what the device wrote
/// just before comes at once, and what it tries again shows within seconds.
pub const LOG_LOOK: Duration = Duration::from_secs(3);

/// A device that no mux serves, for no reason that shows, is left to its person this long:
/// most are locked, and are unlocked within it.
pub const UNSERVED_PATIENCE: Duration = Duration::from_secs(30);

/// A rung shows by this time whether it brought such a device back: our own mux tries it again
/// within ten seconds, and usbmuxd lists a device within five.
pub const UNSERVED_PROOF: Duration = Duration::from_secs(20);

/// Pause between two looks whether the owner has decided about a device that is held.
pub const HELD_POLL: Duration = Duration::from_secs(1);

/// A device waits this long for its owner's decision: a batch day.
pub const MOST_HELD: Duration = Duration::from_secs(12 * 3600);

/// Equal faults in a row that stop a batch, unless told otherwise: five are no coincidence.
pub const STOP_AFTER: u32 = 5;

/// A glance at one device for a list: a dead one must not hold up the others.
pub const GLANCE: Duration = Duration::from_secs(8);

/// Pause before the second try of something that should not happen.
pub const RETRY_ONCE_PAUSE: Duration = Duration::from_secs(2);

/// Lines of a device's log that one look reads; a busy device writes a hundred in a second.
pub const LOG_LINES: usize = 50_000;

/// Longest record of a device's log, in bytes. Real ones are below a kilobyte; the crate that
/// reads them grows with a record that never ends.
pub const LOG_RECORD_BYTES: usize = 1 << 20;
