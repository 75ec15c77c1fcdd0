//! What a question looks for, word by word, and how much of it a text has.
//!
//! A word of the question counts as much as it is rare, whole where the text has it, in part where the text has one that
//! is a slip away (soft matching: Cohen, Ravikumar and Fienberg, "A comparison of string metrics for matching names and
//! records", 2003).

use std::collections::{BTreeMap, HashMap};

use crate::{
    near::{SWAPPED, Spelt},
    words::{Token, stemmed, tokens},
};

/// The most different words of a question that are looked for.
pub const TERMS_MAX: usize = 256;
/// The most words of a question that are compared letter by letter.
const SPELT_MAX: usize = 48;
/// The most other forms of a question's words that are looked for.
const FORMS_MAX: usize = 1024;
/// The letters of a word in which a slip is guessed.
const GUESSED_LETTERS: std::ops::RangeInclusive<usize> = 4..=16;
/// How near a word is to one of which a letter is too many.
const ADDED: f64 = 0.5;
/// How many words in a row may be one code.
const JOINED_MAX: usize = 3;
/// The most different words of texts that are compared letter by letter for one question.
const COMPARED_MAX: usize = 50_000;

/// A word of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The word itself, as texts have it.
    pub word: String,
    /// What stands for it as well.
    pub others: Vec<Form>,
}

/// What stands for a word of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// As it stands in a text.
    pub word: String,
    /// What a text has of the word that has this form of it, 0 to 1.
    pub worth: f64,
    /// Whether it counts only where no text has the word itself: it is what the word may have been meant to be.
    pub is_guess: bool,
}

/// The words that a question looks for, the first [`TERMS_MAX`] of them. What stands for a word as well is the word
/// written as one with its neighbours, a code with two letters swapped, and what may have been meant by a word that
/// nobody wrote.
pub fn terms_of(question: &str) -> Vec<Term> {
    let tokens = tokens(question);
    let plain: Vec<&Token> = tokens.iter().filter(|token| !token.is_joined).collect();
    let mut terms: Vec<Term> = Vec::new();
    let mut forms_left = FORMS_MAX;
    for (at, token) in plain.iter().enumerate() {
        if terms.len() >= TERMS_MAX {
            break;
        }
        let mut forms = BTreeMap::new();
        if forms_left > 0 {
            add_joined(&plain, at, &mut forms);
            add_slips(token, &mut forms);
        }
        forms.remove(&token.word);
        let others = forms.into_iter().take(forms_left);
        forms_left = forms_left.saturating_sub(others.len());
        let others = others.map(|(word, (worth, is_guess))| Form {
            word,
            worth,
            is_guess,
        });
        match terms.iter_mut().find(|term| term.word == token.word) {
            // Said twice: it stands beside other words.
            Some(term) => {
                let known = std::mem::take(&mut term.others);
                let new = others.filter(|form| known.iter().all(|known| known.word != form.word));
                let new: Vec<Form> = new.collect();
                term.others = [known, new].concat();
            }
            None => terms.push(Term {
                word: token.word.clone(),
                others: others.collect(),
            }),
        }
    }
    terms
}

/// What the words around `at` are as one, with it.
fn add_joined(plain: &[&Token], at: usize, forms: &mut BTreeMap<String, (f64, bool)>) {
    for size in 2..=JOINED_MAX {
        for from in (at + 1).saturating_sub(size)..=at {
            let Some(run) = plain.get(from..from + size) else {
                continue;
            };
            if size == 2 || run.iter().any(|token| token.is_code) {
                let joined = run.iter().map(|token| token.word.as_str()).collect();
                forms.insert(joined, (1.0, false));
            }
        }
    }
}

/// What a word may have been before two letters were swapped, or one too many was typed. That a letter is left out has too
/// many ways to be guessed: vectors find that.
fn add_slips(token: &Token, forms: &mut BTreeMap<String, (f64, bool)>) {
    let letters: Vec<char> = token.written.chars().collect();
    if !GUESSED_LETTERS.contains(&letters.len()) {
        return;
    }
    for at in 1..letters.len() {
        let mut swapped = letters.clone();
        swapped.swap(at - 1, at);
        let (swapped, _) = stemmed(&String::from_iter(swapped));
        forms.entry(swapped).or_insert((SWAPPED, !token.is_code));
    }
    for at in 0..letters.len() {
        let mut without = letters.clone();
        without.remove(at);
        let (without, _) = stemmed(&String::from_iter(without));
        forms.entry(without).or_insert((ADDED, true));
    }
}

/// What a word of a question counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// How rare it is among the texts.
    pub rarity: f64,
    /// Whether there is a text with the word itself.
    pub is_known: bool,
}

/// How much of a question texts have. It remembers what it compared.
#[derive(Debug)]
pub struct Matcher {
    /// What each term counts: how rare it is.
    rarities: Vec<f64>,
    /// The terms that have this word as a form, with what it is worth.
    forms: HashMap<String, Vec<(usize, f64)>>,
    /// The terms that may be misspelt: codes, and what no text has.
    spelt: Vec<(usize, Spelt)>,
    /// What each word of texts is worth for each term that it is near to.
    compared: HashMap<String, Vec<(usize, f64)>>,
}

impl Matcher {
    /// Of `terms`; what each counts is at its place in `counts`.
    pub fn new(terms: &[Term], counts: &[Counts]) -> Self {
        let mut forms: HashMap<String, Vec<(usize, f64)>> = HashMap::new();
        for (at, (term, counts)) in terms.iter().zip(counts).enumerate() {
            forms.entry(term.word.clone()).or_default().push((at, 1.0));
            let others = term.others.iter();
            for form in others.filter(|form| !(form.is_guess && counts.is_known)) {
                let worths = forms.entry(form.word.clone()).or_default();
                worths.push((at, form.worth));
            }
        }
        let of_unknown = terms.iter().zip(counts).take(SPELT_MAX).enumerate();
        let spelt = of_unknown.filter_map(|(at, (term, counts))| {
            let spelt = Spelt::of(&term.word);
            (spelt.is_code() || !counts.is_known).then_some((at, spelt))
        });
        Self {
            rarities: counts.iter().map(|counts| counts.rarity).collect(),
            forms,
            spelt: spelt.collect(),
            compared: HashMap::new(),
        }
    }

    /// The share of the question, 0 to 1, that a text of these different words has; `None`: nothing of it.
    pub fn share(&mut self, words: &[String]) -> Option<f64> {
        let mut worths = vec![0.0_f64; self.rarities.len()];
        for word in words {
            for (at, worth) in self.worths_of(word) {
                worths[*at] = worths[*at].max(*worth);
            }
        }
        let total: f64 = self.rarities.iter().sum();
        let had: f64 = worths
            .iter()
            .zip(&self.rarities)
            .map(|(worth, rarity)| worth * rarity)
            .sum();
        (had > 0.0 && total > 0.0).then(|| had / total)
    }

    fn worths_of(&mut self, word: &str) -> &[(usize, f64)] {
        if !self.compared.contains_key(word) {
            let mut worths = self.forms.get(word).cloned().unwrap_or_default();
            if self.compared.len() < COMPARED_MAX {
                let own = Spelt::of(word);
                let near = self.spelt.iter();
                let near = near.map(|(at, spelt)| (*at, spelt.nearness(&own)));
                worths.extend(near.filter(|(_, near)| *near > 0.0));
            }
            self.compared.insert(word.to_owned(), worths);
        }
        self.compared.get(word).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
