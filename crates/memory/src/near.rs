//! How near two words are that are not the same: a slip of the fingers apart.

/// The most letters of a word that is compared letter by letter.
const LETTERS_MAX: usize = 48;
/// The least letters of a word in which a slip is forgiven.
const LETTERS_MIN: usize = 4;
/// How near codes are in one of which two neighbours are swapped.
pub(crate) const SWAPPED: f64 = 0.7;
/// How near codes are that differ in one place: they are rather two codes than one with a slip.
const REPLACED: f64 = 0.2;

/// A word, ready to be compared with many.
#[derive(Debug, Clone)]
pub(crate) struct Spelt {
    letters: Vec<char>,
    /// Which letters there are in it, one bit each.
    bits: u64,
    is_code: bool,
}

impl Spelt {
    pub fn of(word: &str) -> Self {
        let letters: Vec<char> = word.chars().take(LETTERS_MAX).collect();
        let bits = letters
            .iter()
            .fold(0, |bits, letter| bits | 1 << (*letter as u32 % 64));
        let is_code = letters.iter().any(|letter| letter.is_numeric());
        Self {
            letters,
            bits,
            is_code,
        }
    }

    /// Whether there is a digit in it.
    pub fn is_code(&self) -> bool {
        self.is_code
    }

    /// 1 for the same word, less the more slips there are between them, 0 for more slips than one in three letters. Of
    /// codes, only those are near that are one slip apart.
    pub fn nearness(&self, other: &Self) -> f64 {
        let (short, long) = match self.letters.len() <= other.letters.len() {
            true => (&self.letters, &other.letters),
            false => (&other.letters, &self.letters),
        };
        if self.letters == other.letters {
            return 1.0;
        }
        let most = match self.is_code || other.is_code {
            true => 1,
            false => long.len() / 3,
        };
        let missing = (self.bits & !other.bits).count_ones();
        let added = (other.bits & !self.bits).count_ones();
        if short.len() < LETTERS_MIN
            || long.len() - short.len() > most
            || missing.max(added) as usize > most
        {
            return 0.0;
        }
        let slips = slips(short, long);
        if slips > most {
            return 0.0;
        }
        if (self.is_code || other.is_code) && short.len() == long.len() {
            let is_swapped = missing == 0 && added == 0;
            return if is_swapped { SWAPPED } else { REPLACED };
        }
        let share = 1.0 - slips as f64 / long.len() as f64;
        share * share
    }
}

/// The fewest letters put in, left out, replaced or swapped with their neighbour that make one word of the other
/// (Damerau, 1964; no letter is touched twice).
fn slips(one: &[char], other: &[char]) -> usize {
    let width = other.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for (i, a) in one.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests;
