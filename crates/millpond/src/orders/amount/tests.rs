use super::*;

fn read(text: &str) -> Result<Decimal, String> {
    serde_json::from_str::<Amount>(text)
        .map(|amount| amount.0)
        .map_err(|error| error.to_string())
}

#[test]
fn numbers_texts_and_nothing_are_read_without_loss() {
    assert_eq!(read("12.50").unwrap().to_string(), "12.5");
    assert_eq!(read("\"1.0000000000\"").unwrap().to_string(), "1");
    assert_eq!(read("null").unwrap(), Decimal::ZERO);
    assert_eq!(
        read("0.1").unwrap() + read("0.2").unwrap(),
        read("0.3").unwrap()
    );
    assert_eq!(read("1e3").unwrap(), Decimal::from(1000));
    assert!(read("{}").is_err());
}

#[test]
fn a_sku_counts_in_its_finest_step() {
    let mut scales = Scales::default();
    scales.admit("ROPE", Decimal::new(25, 2)).unwrap();
    assert_eq!(scales.steps("ROPE", Decimal::from(3)), Ok(300));
    assert_eq!(scales.qty("ROPE", 125).to_string(), "1.25");
    assert_eq!(
        scales.steps("LAMP", Decimal::new(29, 1)),
        Ok(2),
        "what is finer is no whole lamp"
    );
    assert!(scales.admit("DUST", Decimal::new(1, 5)).is_err());
}

#[test]
fn a_thousand_million_fits_and_what_does_not_is_said() {
    let mut scales = Scales::default();
    scales.admit("SALT", Decimal::new(1, 4)).unwrap();
    assert_eq!(
        scales.steps("SALT", Decimal::from(1_000_000_000)),
        Ok(10_000_000_000_000)
    );
    assert!(matches!(
        scales.steps("SALT", Decimal::MAX),
        Err(AmountError::TooLarge(_))
    ));
}
