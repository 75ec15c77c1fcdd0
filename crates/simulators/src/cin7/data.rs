//! The real orders that every account is built from, parsed once per process into a compact table.

use super::{Cin7Error, Result};
use jiff::civil::DateTime;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

const ORDERS_CSV_GZ: &[u8] = include_bytes!("../../data/online-retail.csv.gz");

/// All invoices, oldest first.
pub(crate) struct DataSet {
    pub goods: Vec<Goods>,
    pub buyers: Vec<Buyer>,
    pub countries: Vec<String>,
    pub invoices: Vec<SourceInvoice>,
    pub lines: Vec<SourceLine>,
}

/// A stock code; spellings that differ only in case are one.
pub(crate) struct Goods {
    pub sku: String,
    pub name: String,
    /// Usual price in thousandths of a pound.
    pub price_milli: i64,
}

pub(crate) struct Buyer {
    /// Number in the data set; 0 stands for sales without a customer.
    pub number: u32,
    pub country: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceKind {
    Sale,
    /// Only negative quantities at price 0: the warehouse corrected its stock.
    Correction,
    Credit,
    Adjustment,
}

pub(crate) struct SourceInvoice {
    pub number: u32,
    pub kind: SourceKind,
    pub at: DateTime,
    pub buyer: u32,
    pub country: u16,
    first: u32,
    count: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct SourceLine {
    pub goods: u16,
    pub quantity: i32,
    pub price_milli: i32,
}

impl DataSet {
    /// The data set, unpacked by whoever asks first.
    pub(crate) fn load() -> Result<Arc<DataSet>> {
        static LOADED: OnceLock<Arc<DataSet>> = OnceLock::new();
        if let Some(data) = LOADED.get() {
            return Ok(data.clone());
        }
        let data = Arc::new(parse()?);
        Ok(LOADED.get_or_init(|| data).clone())
    }

    pub(crate) fn lines_of(&self, invoice: &SourceInvoice) -> &[SourceLine] {
        &self.lines[invoice.first as usize..(invoice.first + invoice.count) as usize]
    }
}

#[derive(Default)]
struct Draft {
    invoices: HashMap<String, usize>,
    goods: HashMap<String, u16>,
    // Per stock code: how often each spelling of its name and each price occurs.
    names: Vec<HashMap<String, u32>>,
    prices: Vec<HashMap<i32, u32>>,
    buyers: HashMap<u32, u32>,
    countries: HashMap<String, u16>,
}

fn parse() -> Result<DataSet> {
    let broken = |what: &'static str| Cin7Error::Data { what };
    let mut text = Vec::with_capacity(48 << 20);
    flate2::read::GzDecoder::new(ORDERS_CSV_GZ)
        .read_to_end(&mut text)
        .map_err(|_| broken("cannot be unpacked"))?;
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let mut row = csv::StringRecord::new();
    let mut draft = Draft::default();
    let mut data = DataSet {
        goods: vec![],
        buyers: vec![],
        countries: vec![],
        invoices: vec![],
        lines: vec![],
    };
    let mut parts: Vec<Vec<SourceLine>> = vec![];
    let mut negative_only: Vec<bool> = vec![];
    // Rows of one invoice stand together, so the last one is remembered before the map is asked.
    let mut last: (String, usize) = (String::new(), 0);
    while reader
        .read_record(&mut row)
        .map_err(|_| broken("holds a row that is no CSV"))?
    {
        let cell = |at: usize| row.get(at).unwrap_or_default();
        let quantity: i32 = cell(3)
            .parse()
            .map_err(|_| broken("holds a quantity that is no number"))?;
        let price = milli(cell(5)).ok_or(broken("holds a price that is no number"))?;
        let goods = draft.goods_index(&mut data, cell(1));
        *draft.prices[goods as usize].entry(price).or_default() += 1;
        let name = cell(2).trim();
        if !name.is_empty() {
            match draft.names[goods as usize].get_mut(name) {
                Some(seen) => *seen += 1,
                None => drop(draft.names[goods as usize].insert(name.to_owned(), 1)),
            }
        }
        let invoice = cell(0);
        if invoice != last.0 {
            let at = match draft.invoices.get(invoice) {
                Some(at) => *at,
                None => {
                    let country = draft.country_index(&mut data, cell(7));
                    let buyer = draft.buyer_index(&mut data, cell(6).parse().unwrap_or(0), country);
                    let kind = match invoice.as_bytes().first() {
                        Some(b'C') => SourceKind::Credit,
                        Some(b'A') => SourceKind::Adjustment,
                        _ => SourceKind::Sale,
                    };
                    data.invoices.push(SourceInvoice {
                        number: invoice
                            .trim_start_matches(['A', 'C'])
                            .parse()
                            .map_err(|_| broken("holds an invoice without a number"))?,
                        kind,
                        at: cell(4)
                            .parse()
                            .map_err(|_| broken("holds a date that is no date"))?,
                        buyer,
                        country,
                        first: 0,
                        count: 0,
                    });
                    parts.push(vec![]);
                    negative_only.push(true);
                    draft.invoices.insert(invoice.to_owned(), parts.len() - 1);
                    parts.len() - 1
                }
            };
            last = (invoice.to_owned(), at);
        }
        negative_only[last.1] &= quantity < 0;
        parts[last.1].push(SourceLine {
            goods,
            quantity,
            price_milli: price,
        });
    }
    for (at, invoice) in data.invoices.iter_mut().enumerate() {
        if invoice.kind == SourceKind::Sale && negative_only[at] {
            invoice.kind = SourceKind::Correction;
        }
        invoice.first = data.lines.len() as u32;
        invoice.count = parts[at].len() as u32;
        data.lines.append(&mut parts[at]);
    }
    draft.settle_goods(&mut data);
    Ok(data)
}

impl Draft {
    fn goods_index(&mut self, data: &mut DataSet, code: &str) -> u16 {
        if let Some(at) = self.goods.get(code) {
            return *at;
        }
        let sku = code.trim().to_uppercase();
        let at = match self.goods.get(&sku) {
            Some(at) => *at,
            None => {
                data.goods.push(Goods {
                    sku: sku.clone(),
                    name: String::new(),
                    price_milli: 0,
                });
                self.names.push(HashMap::new());
                self.prices.push(HashMap::new());
                let at = (data.goods.len() - 1) as u16;
                self.goods.insert(sku, at);
                at
            }
        };
        self.goods.insert(code.to_owned(), at);
        at
    }

    fn country_index(&mut self, data: &mut DataSet, name: &str) -> u16 {
        *self.countries.entry(name.to_owned()).or_insert_with(|| {
            data.countries.push(name.to_owned());
            (data.countries.len() - 1) as u16
        })
    }

    fn buyer_index(&mut self, data: &mut DataSet, number: u32, country: u16) -> u32 {
        *self.buyers.entry(number).or_insert_with(|| {
            data.buyers.push(Buyer { number, country });
            (data.buyers.len() - 1) as u32
        })
    }

    /// Gives each stock code its most frequent name and its most frequent price; ties go to the smaller text or price.
    fn settle_goods(&self, data: &mut DataSet) {
        for (at, goods) in data.goods.iter_mut().enumerate() {
            let name = self.names[at]
                .iter()
                .max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
            goods.name = name.map_or_else(|| goods.sku.clone(), |(name, _)| name.clone());
            let price = self.prices[at].iter().filter(|(price, _)| **price > 0);
            let price = price.max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
            goods.price_milli = price.map_or(1000, |(price, _)| i64::from(*price));
        }
    }
}

/// `"2.55"` as 2550: the data holds at most three decimals.
fn milli(text: &str) -> Option<i32> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 {
        return None;
    }
    let mut thousandths: i32 = 0;
    for at in 0..3 {
        let digit = fraction
            .as_bytes()
            .get(at)
            .map_or(0, |b| i32::from(b.wrapping_sub(b'0')));
        thousandths = thousandths * 10 + digit;
    }
    Some(
        sign * (whole
            .parse::<i32>()
            .ok()?
            .checked_mul(1000)?
            .checked_add(thousandths)?),
    )
}

#[cfg(test)]
mod tests;
