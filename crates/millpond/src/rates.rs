//! Rates of currencies out of a CSV file.

use jiff::civil::Date;
use rust_decimal::Decimal;
use store::rates::Rate;

/// The most rates that come at once.
pub const RATES_MAX: usize = 100_000;
const COLUMNS: [&str; 4] = ["month", "currency", "reporting", "rate"];

/// Reads `month,currency,reporting,rate` lines: `2026-01,EUR,GBP,0.8537`. The first line names the columns, in any
/// order; others are left out.
///
/// # Errors
///
/// A sentence with the line of the first that is wrong.
pub fn read_csv(text: &[u8]) -> Result<Vec<Rate>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut places = [0; 4];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        *place = header
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                format!(
                    "the first line has no column `{name}`; expected {}",
                    COLUMNS.join(",")
                )
            })?;
    }
    let mut rates = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        let [month, currency, reporting, rate] =
            places.map(|place| row.get(place).unwrap_or_default());
        rates.push(
            checked(month, currency, reporting, rate)
                .map_err(|why| format!("line {line}: {why}"))?,
        );
        if rates.len() > RATES_MAX {
            return Err(format!("there are more than {RATES_MAX} rates"));
        }
    }
    Ok(rates)
}

/// A rate whose parts make sense.
///
/// # Errors
///
/// A sentence that says which part does not.
pub fn checked(month: &str, currency: &str, reporting: &str, rate: &str) -> Result<Rate, String> {
    let day = match month.len() {
        7 => format!("{month}-01"),
        _ => month.to_owned(),
    };
    let day: Date = day
        .parse()
        .map_err(|_| format!("`{month}` is no month; expected 2026-01 or a day of it"))?;
    let code = |text: &str| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_code
            .then(|| text.to_ascii_uppercase())
            .ok_or_else(|| format!("`{text}` is no currency; expected three letters, such as EUR"))
    };
    let (currency, reporting) = (code(currency)?, code(reporting)?);
    if currency == reporting {
        return Err(format!(
            "{currency} is worth one {reporting} always: leave it out"
        ));
    }
    let number: Decimal = rate
        .parse()
        .map_err(|_| format!("`{rate}` is no rate; expected a number such as 0.8537"))?;
    if number <= Decimal::ZERO || number > Decimal::from(1_000_000_000) {
        return Err(format!(
            "{rate} is no rate: it must be above 0 and at most 1,000,000,000"
        ));
    }
    Ok(Rate {
        month: day.first_of_month(),
        currency,
        reporting,
        rate: number.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::read_csv;

    #[test]
    fn lines_are_read_in_any_order_of_columns() {
        let text = "Rate, month ,currency,reporting,note\n0.8537,2026-01,eur,GBP,x\n1.5,2026-02-17,USD,GBP,\n";
        let rates = read_csv(text.as_bytes()).unwrap_or_default();
        let shown: Vec<String> = rates
            .iter()
            .map(|rate| {
                format!(
                    "{} {} {} {}",
                    rate.month, rate.currency, rate.reporting, rate.rate
                )
            })
            .collect();
        assert_eq!(
            shown,
            ["2026-01-01 EUR GBP 0.8537", "2026-02-01 USD GBP 1.5"]
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let head = "month,currency,reporting,rate\n2026-01,EUR,GBP,0.85\n";
        for (line, said) in [
            ("2026-13,EUR,GBP,0.85", "line 3: `2026-13` is no month"),
            ("2026-01,EURO,GBP,0.85", "line 3: `EURO` is no currency"),
            ("2026-01,EUR,EUR,1", "line 3: EUR is worth one EUR"),
            ("2026-01,EUR,GBP,0", "line 3: 0 is no rate"),
            ("2026-01,EUR,GBP,-1", "line 3: -1 is no rate"),
            ("2026-01,EUR,GBP,\"0,85\"", "line 3: `0,85` is no rate"),
            ("2026-01,EUR", "line: 3"),
        ] {
            let wrong = read_csv(format!("{head}{line}\n").as_bytes())
                .err()
                .unwrap_or_default();
            assert!(wrong.contains(said), "{line}: {wrong}");
        }
        let wrong = read_csv(b"month,rate\n").err().unwrap_or_default();
        assert!(wrong.contains("no column `currency`"), "{wrong}");
    }
}
