//! Many short texts in one allocation, known by their numbers: four bytes for each beside the text itself.

use anyhow::{Context, Result};

#[derive(Default)]
pub(super) struct Rows {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Rows {
    /// Adds a text, and answers its number.
    pub(super) fn push(&mut self, text: &str) -> Result<u32> {
        let end = u32::try_from(self.text.len() + text.len()).ok();
        self.ends.push(end.context("the rows take more than the 4 GiB that a table may have")?);
        self.text.push_str(text);
        Ok(self.ends.len() as u32 - 1)
    }

    /// The text with this number, which [`push`](Self::push) has answered.
    pub(super) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin as usize..self.ends[number] as usize]
    }

    /// Gives back what was reserved for more.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}
