//! The real orders that every account is built from, packed when the crate is built (`build/orders.rs`).

mod table;

pub(crate) use table::{Buyer, DataSet, Goods, SourceInvoice, SourceKind, SourceLine};

use super::{Cin7Error, Result};
use jiff::civil::DateTime;
use std::sync::{Arc, OnceLock};

const ORDERS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/orders.bin"));

impl DataSet {
    /// The data set, unpacked by whoever asks first.
    pub(crate) fn load() -> Result<Arc<DataSet>> {
        static LOADED: OnceLock<Arc<DataSet>> = OnceLock::new();
        if let Some(data) = LOADED.get() {
            return Ok(data.clone());
        }
        let data = Arc::new(unpack(ORDERS).ok_or(Cin7Error::Data {
            what: "was not packed as it is read",
        })?);
        Ok(LOADED.get_or_init(|| data).clone())
    }

    pub(crate) fn lines_of(&self, invoice: &SourceInvoice) -> &[SourceLine] {
        &self.lines[invoice.first as usize..(invoice.first + invoice.count) as usize]
    }
}

/// Reads what the build packed; `None` if it ends early or holds what it must not.
fn unpack(bytes: &[u8]) -> Option<DataSet> {
    let mut rest = Rest(bytes);
    let goods = rest.table(|rest| {
        Some(Goods {
            sku: rest.text()?,
            name: rest.text()?,
            price_milli: i64::from_le_bytes(rest.take()?),
        })
    })?;
    let buyers = rest.table(|rest| {
        Some(Buyer {
            number: u32::from_le_bytes(rest.take()?),
            country: u16::from_le_bytes(rest.take()?),
        })
    })?;
    let countries = rest.table(Rest::text)?;
    let invoices = rest.table(|rest| {
        let number = u32::from_le_bytes(rest.take()?);
        let [kind] = rest.take()?;
        let kind = [
            SourceKind::Sale,
            SourceKind::Correction,
            SourceKind::Credit,
            SourceKind::Adjustment,
        ]
        .into_iter()
        .find(|known| *known as u8 == kind)?;
        let year = i16::from_le_bytes(rest.take()?);
        let [month, day, hour, minute, second] = rest.take()?.map(u8::cast_signed);
        Some(SourceInvoice {
            number,
            kind,
            at: DateTime::new(year, month, day, hour, minute, second, 0).ok()?,
            buyer: u32::from_le_bytes(rest.take()?),
            country: u16::from_le_bytes(rest.take()?),
            first: u32::from_le_bytes(rest.take()?),
            count: u32::from_le_bytes(rest.take()?),
        })
    })?;
    let lines = rest.table(|rest| {
        Some(SourceLine {
            goods: u16::from_le_bytes(rest.take()?),
            quantity: i32::from_le_bytes(rest.take()?),
            price_milli: i32::from_le_bytes(rest.take()?),
        })
    })?;
    let whole = invoices.iter().all(|invoice: &SourceInvoice| {
        let end = invoice.first.checked_add(invoice.count);
        end.is_some_and(|end| end as usize <= lines.len())
    });
    (whole && rest.0.is_empty()).then_some(DataSet {
        goods,
        buyers,
        countries,
        invoices,
        lines,
    })
}

/// The bytes that have not been read.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn table<T>(&mut self, mut row: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = u32::from_le_bytes(self.take()?);
        (0..length).map(|_| row(self)).collect()
    }
}

#[cfg(test)]
#[path = "../../build/orders.rs"]
mod orders;

#[cfg(test)]
mod tests;
