//! Octets as a row of choices, for targets whose inputs are no plain text: where they end, every choice is the first.

use crate::domain::Domain;

/// What is left of an input.
#[derive(Debug, Clone)]
pub struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    pub fn new(data: &'d [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left to choose by.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    pub fn wide(&mut self) -> u16 {
        u16::from_le_bytes([self.next(), self.next()])
    }

    /// A sequence number, of which the least and the greatest are the ones that matter.
    pub fn number(&mut self) -> u32 {
        match self.next() % 4 {
            0 => 0x7FFF_FFFF - u32::from(self.next() % 4),
            1 => u32::from(self.wide()),
            _ => u32::from(self.next()),
        }
    }

    /// Whether one time out of `of`.
    pub fn seldom(&mut self, of: u8) -> bool {
        self.next() % of == of - 1
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.next()) % of.len()].clone()
    }

    pub fn domain(&mut self) -> Domain {
        Domain::parse(self.pick(&DOMAINS)).expect("a domain")
    }

    /// Some of the octets themselves, the first of which says how many.
    pub fn octets(&mut self) -> &'d [u8] {
        let length = usize::from(self.next());
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Some of the octets as text; what is no UTF-8 is left out.
    pub fn text(&mut self) -> String {
        self.octets().utf8_chunks().map(|chunk| chunk.valid()).collect()
    }

    /// All that is left.
    pub fn rest(self) -> &'d [u8] {
        self.0
    }
}

/// The sizes of the portions that an input is to arrive in, and the rest of the input: its first eight octets say them,
/// over and over.
pub fn portions(data: &[u8]) -> Option<(impl Iterator<Item = usize> + Clone + '_, &[u8])> {
    let (sizes, input) = data.split_at_checked(8)?;
    Some((
        sizes
            .iter()
            .cycle()
            .map(|size| usize::from(*size))
            .take(input.len()),
        input,
    ))
}

/// Few, so that choices meet.
pub const DOMAINS: [&str; 6] = [
    "one.example",
    "two.example",
    "sub.one.example",
    "b\u{fc}cher.example",
    "example",
    "three.example",
];
