//! Random mutations of the corpora, without anything installed: the smoke run. The same seed
//! does the same on every computer.

use super::TARGETS;
use super::tests::inputs;
use fastrand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;

/// Inputs of each target in the ordinary run of the tests.
const USUAL_INPUTS: u64 = 300;

/// Longest input that is made, in bytes.
const MOST_BYTES: usize = 4096;

/// Numbers that lengths and counts go wrong with.
const NUMBERS: [u64; 12] =
    [0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000_0000_0000];

/// `ENLIST_FUZZ_SECONDS` for each target, `ENLIST_FUZZ_SEED` and `ENLIST_FUZZ_TARGET` make it
/// another run than the ordinary one; a failure prints what repeats it.
#[test]
#[allow(clippy::disallowed_methods)] // tests have no configuration to read it from
fn smoke() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (seconds, seed) = (number("ENLIST_FUZZ_SECONDS"), number("ENLIST_FUZZ_SEED").unwrap_or(1));
    let only = std::env::var("ENLIST_FUZZ_TARGET").ok();
    let targets: Vec<_> =
        TARGETS.iter().filter(|(target, _)| only.as_ref().is_none_or(|only| only == target)).collect();
    assert!(!targets.is_empty(), "there is no target {only:?}");
    println!("seed {seed}; {} targets", targets.len());
    for (target, entry) in targets {
        let corpus = inputs(target);
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut done = 0;
        while until.map_or(done < USUAL_INPUTS, |until| Instant::now() < until) {
            let input = Mutator::new(seed, target, done).input(&corpus);
            if catch_unwind(AssertUnwindSafe(|| entry(&input))).is_err() {
                let kept = std::env::temp_dir().join(format!("enlist-fuzz-{target}-{seed}-{done}"));
                std::fs::write(&kept, &input).expect("a place for the input");
                panic!("{target} fails with input {done} of seed {seed}: {}", kept.display());
            }
            done += 1;
        }
        println!("{target}: {done} inputs");
    }
}

struct Mutator {
    rng: Rng,
}

impl Mutator {
    fn new(seed: u64, target: &str, input: u64) -> Self {
        let name = target.bytes().fold(seed, |sum, byte| sum.wrapping_mul(0x100_0193) ^ u64::from(byte));
        Self { rng: Rng::with_seed(name.wrapping_add(input.wrapping_mul(0x9e37_79b9_7f4a_7c15))) }
    }

    /// A file of the corpus with a few things wrong about it, or something new.
    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.rng.choice(corpus).cloned().unwrap_or_default();
        if self.rng.u8(..16) == 0 {
            input = (0..self.rng.usize(..200)).map(|_| self.rng.u8(..)).collect();
        }
        for _ in 0..=self.rng.u8(..4) {
            self.mutate(&mut input, corpus);
        }
        input.truncate(MOST_BYTES);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let (from, to) = self.range(input.len());
        match self.rng.u8(..9) {
            0 => input.truncate(from),
            1 => drop(input.drain(from..to)),
            2 => {
                let again = input[from..to].to_vec();
                input.splice(to..to, again);
            }
            3 => {
                let new: Vec<u8> = (0..=self.rng.u8(..8)).map(|_| self.rng.u8(..)).collect();
                input.splice(from..from, new);
            }
            4 => {
                let other = self.rng.choice(corpus).cloned().unwrap_or_default();
                let (begin, end) = self.range(other.len());
                input.splice(from..to, other[begin..end].iter().copied());
            }
            5 | 6 => self.number(input, from),
            _ if from < input.len() => match self.rng.bool() {
                true => input[from] ^= 1 << self.rng.u8(..8),
                false => input[from] = self.rng.u8(..),
            },
            _ => {}
        }
    }

    /// Overwrites bytes by a number of any width and order.
    fn number(&mut self, input: &mut [u8], at: usize) {
        let width = 1 << self.rng.usize(..4);
        let mut bytes = NUMBERS[self.rng.usize(..NUMBERS.len())].to_le_bytes()[..width].to_vec();
        if self.rng.bool() {
            bytes.reverse();
        }
        input[at..].iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }

    /// A place, and another one shortly after it.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.rng.usize(..=length);
        (from, from + self.rng.usize(..=(length - from).min(64)))
    }
}
