//! Reads the shipped orders and packs them, so that nobody who starts the simulator reads 48 MB of CSV.
//!
//! Numbers are little-endian; a text is its length as `u16` and its bytes; a table is its length as `u32` and its rows.
//! `src/cin7/data.rs` unpacks what [`pack`] writes.

use super::table::{Buyer, DataSet, Goods, SourceInvoice, SourceKind, SourceLine};
use std::collections::HashMap;
use std::io::Read;

/// Why the file cannot be packed.
type Result<T> = std::result::Result<T, &'static str>;

/// The bytes that the simulator is built with.
pub(crate) fn pack(data: &DataSet) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.lines.len() * 10 + (1 << 20));
    length(&mut out, data.goods.len());
    for goods in &data.goods {
        text(&mut out, &goods.sku);
        text(&mut out, &goods.name);
        out.extend(goods.price_milli.to_le_bytes());
    }
    length(&mut out, data.buyers.len());
    for buyer in &data.buyers {
        out.extend(buyer.number.to_le_bytes());
        out.extend(buyer.country.to_le_bytes());
    }
    length(&mut out, data.countries.len());
    for country in &data.countries {
        text(&mut out, country);
    }
    length(&mut out, data.invoices.len());
    for invoice in &data.invoices {
        out.extend(invoice.number.to_le_bytes());
        out.push(invoice.kind as u8);
        let (day, time) = (invoice.at.date(), invoice.at.time());
        out.extend(day.year().to_le_bytes());
        let parts = [
            day.month(),
            day.day(),
            time.hour(),
            time.minute(),
            time.second(),
        ];
        out.extend(parts.map(i8::cast_unsigned));
        out.extend(invoice.buyer.to_le_bytes());
        out.extend(invoice.country.to_le_bytes());
        out.extend(invoice.first.to_le_bytes());
        out.extend(invoice.count.to_le_bytes());
    }
    length(&mut out, data.lines.len());
    for line in &data.lines {
        out.extend(line.goods.to_le_bytes());
        out.extend(line.quantity.to_le_bytes());
        out.extend(line.price_milli.to_le_bytes());
    }
    out
}

fn length(out: &mut Vec<u8>, n: usize) {
    out.extend((n as u32).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
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

/// Reads the orders out of their compressed CSV.
pub(crate) fn parse(compressed: &[u8]) -> Result<DataSet> {
    let mut text = Vec::with_capacity(48 << 20);
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut text)
        .map_err(|_| "cannot be unpacked")?;
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
        .map_err(|_| "holds a row that is no CSV")?
    {
        let cell = |at: usize| row.get(at).unwrap_or_default();
        let quantity: i32 = cell(3)
            .parse()
            .map_err(|_| "holds a quantity that is no number")?;
        let price = milli(cell(5)).ok_or("holds a price that is no number")?;
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
                            .map_err(|_| "holds an invoice without a number")?,
                        kind,
                        at: cell(4)
                            .parse()
                            .map_err(|_| "holds a date that is no date")?,
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
pub(crate) fn milli(text: &str) -> Option<i32> {
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
