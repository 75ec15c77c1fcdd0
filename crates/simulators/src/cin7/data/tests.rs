use super::orders::milli;
use super::*;

#[test]
fn the_shipped_file_holds_what_its_description_says() {
    let data = DataSet::load().unwrap();
    assert_eq!(data.lines.len(), 541_909);
    assert_eq!(data.invoices.len(), 25_900);
    assert_eq!(data.goods.len(), 3_958);
    let quantity: i64 = data.lines.iter().map(|line| i64::from(line.quantity)).sum();
    assert_eq!(quantity, 5_176_450);
    let value: i64 = data
        .lines
        .iter()
        .map(|l| i64::from(l.quantity) * i64::from(l.price_milli))
        .sum();
    assert_eq!(value, 9_747_747_934);
    let of = |kind| data.invoices.iter().filter(|i| i.kind == kind).count();
    assert_eq!(
        (of(SourceKind::Sale), of(SourceKind::Correction)),
        (20_725, 1_336)
    );
    assert_eq!(
        (of(SourceKind::Credit), of(SourceKind::Adjustment)),
        (3_836, 3)
    );
}

#[test]
fn the_packed_orders_are_those_of_the_file() {
    let file = include_bytes!("../../../data/online-retail.csv.gz");
    assert!(orders::pack(&orders::parse(file).unwrap()) == ORDERS);
}

#[test]
fn packed_orders_that_are_cut_or_too_long_are_refused() {
    assert!(unpack(&ORDERS[..ORDERS.len() - 1]).is_none());
    assert!(unpack(&[ORDERS, &[0]].concat()).is_none());
}

#[test]
fn prices_are_read_exactly() {
    assert_eq!(milli("2.55"), Some(2550));
    assert_eq!(milli("-11062.06"), Some(-11_062_060));
    assert_eq!(milli("0"), Some(0));
    assert_eq!(milli("0.0001"), None);
}
