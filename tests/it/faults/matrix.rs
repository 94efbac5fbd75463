//! The matrix itself: all cells, in a process of its own with a small disk, so that files,
//! memory and a full disk are its alone.

use super::cell::{self, Fault};
use super::conversation::{self, Message, Script};
use super::rule::{self, End};
use crate::support::lab::alone;
use crate::support::lab::disk::SmallDisk;
use std::fmt::Write;
use std::path::Path;

/// Size of the disk, in MiB: room for a journal and a few records, and soon full.
const DISK: u32 = 8;

/// What a run in memory may grow by from the first tenth of the cells to the last, in KiB.
const GROWTH: u64 = 24 << 10;

#[test]
fn every_message_times_every_fault() {
    let said = alone::run("faults::matrix::all_cells", DISK, &[]);
    assert!(said.contains("0 violations"), "{said}");
}

/// What a cell came to.
struct Result {
    letter: char,
    stations: usize,
    wrong: Vec<String>,
}

#[test]
#[ignore = "every_message_times_every_fault starts it in a process of its own"]
fn all_cells() {
    assert!(alone::is_alone());
    let begun = tokio::time::Instant::now();
    let messages: Vec<Message> = Script::ALL.into_iter().flat_map(conversation::messages).collect();
    let files = alone::open_files();
    let (mut table, mut wrong) = (header(), Vec::new());
    let (mut cells, mut memory, mut second) = (0, 0, 0);
    for (n, message) in messages.iter().enumerate() {
        let _ = write!(table, "{:<58}", message.label());
        for fault in Fault::ALL {
            let result = one(message, fault, files);
            second += usize::from(fault == Fault::DiskFull && result.stations > 1);
            cells += usize::from(result.letter.is_alphabetic() || !result.wrong.is_empty());
            let letter = if result.wrong.is_empty() { result.letter } else { '!' };
            let _ = write!(table, "{letter:<8}");
            wrong.extend(result.wrong);
        }
        table.push('\n');
        if n == messages.len() / 10 {
            memory = alone::resident();
        }
    }
    if SmallDisk::of_this_process().can_be_filled() && second == 0 {
        wrong.push("no job met the full disk".to_owned());
    }
    let grown = alone::resident().saturating_sub(memory);
    if grown > GROWTH {
        wrong.push(format!("memory grew by {grown} KiB from {memory} KiB"));
    }
    let _ = write!(
        table,
        "\nE enrolled  R the device refused, which is final  = the same as eof  . cannot be  ! violation\n\
         {} messages x {} faults: {cells} cells run in {:.1} s; memory {memory} KiB, {grown} KiB more at the end; \
         {second} jobs met the full disk and were finished by a second station; {} violations\n",
        messages.len(),
        Fault::ALL.len(),
        begun.elapsed().as_secs_f32(),
        wrong.len(),
    );
    for line in &wrong {
        let _ = writeln!(table, "  {line}");
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault-matrix.txt"), &table).unwrap();
    println!("{table}");
    assert!(wrong.is_empty(), "{} violations", wrong.len());
}

fn header() -> String {
    let mut line = format!("\n{:<58}", "message (> to the device, < from it, = to the mux)");
    for fault in Fault::ALL {
        let _ = write!(line, "{:<8}", fault.name());
    }
    line + "\n"
}

fn one(message: &Message, fault: Fault, files: usize) -> Result {
    let none = |letter| Result { letter, stations: 0, wrong: Vec::new() };
    if rule::same_as(message, fault).is_some() {
        return none('=');
    }
    let full = fault == Fault::DiskFull && !SmallDisk::of_this_process().can_be_filled();
    let Some(act) = fault.at(message).filter(|_| !full) else { return none('.') };
    let (mut evidence, _) = cell::run(message.script, act);
    evidence.left.files = alone::open_files().saturating_sub(files);
    let place = format!("{} x {}", message.label(), fault.name());
    let mut wrong: Vec<_> =
        evidence.violations().iter().map(|v| format!("{place}: {:?}: {}", v.rule, v.what)).collect();
    let ends = evidence.ends();
    let end = ends.values().next().map(End::of);
    let expected = rule::expected(message, fault);
    if end != Some(expected) {
        wrong.push(format!("{place}: {expected:?} expected: {ends:?}"));
    }
    Result { letter: end.map_or('?', End::letter), stations: evidence.stations, wrong }
}
