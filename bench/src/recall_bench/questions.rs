//! The questions: codes as people type them, names with slips, and other words for the same, which a person wrote for
//! products drawn by lot, before anything was measured.

use anyhow::Result;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// What a person wrote: a code, and what the product may be called.
const PARAPHRASES: &str = include_str!("paraphrases.csv");

/// A product that can be asked for.
pub struct Product {
    /// Its code.
    pub sku: String,
    /// Its name.
    pub name: String,
}

/// A question, and the code of the product that answers it.
pub struct Asked {
    /// What is asked.
    pub said: String,
    /// The right answer.
    pub sku: String,
}

/// Questions by kind, `count` of each kind that is made by rule.
pub fn questions(
    products: &[Product],
    count: usize,
    seed: u64,
) -> Result<Vec<(&'static str, Vec<Asked>)>> {
    let mut random = StdRng::seed_from_u64(seed);
    let coded: Vec<&Product> = products
        .iter()
        .filter(|product| {
            product.sku.len() >= 5 && product.sku.starts_with(|c: char| c.is_ascii_digit())
        })
        .collect();
    let named: Vec<&Product> = products
        .iter()
        .filter(|product| product.name.split_whitespace().count() >= 3)
        .collect();
    let mut codes = Vec::new();
    for product in draw(&coded, count, &mut random) {
        codes.push(Asked {
            said: code(&product.sku, &mut random),
            sku: product.sku.clone(),
        });
    }
    let mut names = Vec::new();
    for product in draw(&named, count, &mut random) {
        names.push(Asked {
            said: slipped(&product.name, &mut random),
            sku: product.sku.clone(),
        });
    }
    let mut paraphrases = Vec::new();
    for row in csv::Reader::from_reader(PARAPHRASES.as_bytes()).records() {
        let row = row?;
        let (sku, said) = (row[0].to_owned(), row[1].to_owned());
        if let Some(product) = products
            .iter()
            .find(|product| product.sku.eq_ignore_ascii_case(&sku))
        {
            paraphrases.push(Asked {
                said,
                sku: product.sku.clone(),
            });
        }
    }
    Ok(vec![
        ("codes", codes),
        ("names", names),
        ("paraphrases", paraphrases),
    ])
}

fn draw<'a>(from: &[&'a Product], count: usize, random: &mut StdRng) -> Vec<&'a Product> {
    from.choose_multiple(random, count).copied().collect()
}

/// A code as it is typed: in small letters, with a hyphen or a space before its last letter or in its middle, within a
/// sentence, or with two digits swapped.
fn code(sku: &str, random: &mut StdRng) -> String {
    let small = sku.to_lowercase();
    let cut = match small.char_indices().next_back() {
        Some((at, last)) if last.is_alphabetic() => at,
        _ => small.len() / 2,
    };
    let (head, tail) = small.split_at(cut);
    match random.random_range(0..5) {
        0 => small,
        1 => format!("{head}-{tail}"),
        2 => format!("{head} {tail}"),
        3 => format!("how many of {small} do we have in stock?"),
        _ => {
            let mut letters: Vec<char> = small.chars().collect();
            let at = random.random_range(1..4.min(letters.len() - 1));
            letters.swap(at, at + 1);
            letters.into_iter().collect()
        }
    }
}

/// A name as it is typed: in small letters, one word left out, and a slip in each second word that is left: two letters
/// swapped, one left out, or one twice.
fn slipped(name: &str, random: &mut StdRng) -> String {
    let mut words: Vec<String> = name
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if words.len() > 2 {
        words.remove(random.random_range(0..words.len()));
    }
    for word in words.iter_mut().filter(|word| word.chars().count() > 3) {
        if random.random_bool(0.5) {
            let mut letters: Vec<char> = word.chars().collect();
            let at = random.random_range(1..letters.len() - 1);
            match random.random_range(0..3) {
                0 => letters.swap(at, at + 1),
                1 => drop(letters.remove(at)),
                _ => letters.insert(at, letters[at]),
            }
            *word = letters.into_iter().collect();
        }
    }
    words.join(" ")
}
