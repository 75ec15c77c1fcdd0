//! What is read, what is refused, and how large numbers may be.

use orders::input::*;
use orders::plan::Code;
use orders::{InputError, Op};

use crate::build::*;

#[test]
fn an_unknown_key_and_a_fraction_are_refused_with_their_place() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5");
    let text = orders::json::write(&world).unwrap();
    for (from, to, hint) in [
        ("\"qty\": 5", "\"qty\": 5, \"colour\": 1", "colour"),
        ("\"qty\": 5", "\"qty\": 5.5", "5.5"),
        ("\"qty\": 5", "\"qty\": 1e3", "1000.0"),
        (
            "\"qty\": 5",
            "\"qty\": 9223372036854775808",
            "9223372036854775808",
        ),
        ("\"2026-03-02\"", "\"2026-02-30\"", "2026-02-30"),
    ] {
        let error = orders::json::plan_text(Op::Split, &text.replace(from, to)).unwrap_err();
        let place = if to.contains("2026") {
            "`now`"
        } else {
            "`lots[0]."
        };
        assert!(error.to_string().contains(place), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(hint) && source.contains("line"), "{source}");
    }
}

#[test]
fn a_text_that_is_no_input_is_refused_whatever_it_is() {
    let world = orders::json::write(&input(&["L1"])).unwrap();
    let deep = "[".repeat(100_000);
    let odd = [
        "",
        "{",
        "[]",
        "null",
        "{\"schema\": 7}",
        "\u{feff}{}",
        "{} {}",
        &deep,
    ];
    let twice = world.replacen('{', "{ \"now\": \"2026-03-02\",", 1);
    let more = format!("{world} x");
    for text in odd.into_iter().chain([twice.as_str(), more.as_str()]) {
        let refused = orders::json::plan_text(Op::Split, text);
        assert!(
            matches!(refused, Err(orders::json::JsonError::Input(..))),
            "{refused:?}"
        );
    }
}

#[test]
fn of_very_many_faults_the_first_are_told_and_the_others_counted() {
    let mut world = input(&["L1"]);
    for n in 0..1_000 {
        world.stock("L9", &format!("S{n} 1"));
    }
    let text = orders::plan(Op::Split, &world).unwrap_err().to_string();
    assert!(
        text.contains("; and 980 more") && text.len() < 4_000,
        "{text}"
    );
}

#[test]
fn a_plan_survives_the_round_trip() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5");
    world.order("1", "A 9").complete = Complete::Order;
    world.order("2", "A 3");
    for op in [Op::Allocate, Op::Split, Op::Pick, Op::Fill] {
        let made = plan(op, &world);
        let text = orders::json::write(&made).unwrap();
        assert_eq!(serde_json::from_str::<orders::Plan>(&text).unwrap(), made);
        let (verdict, _) =
            orders::json::check_text(&orders::json::write(&world).unwrap(), &text).unwrap();
        assert!(verdict.violations.is_empty());
    }
}

#[test]
fn faults_of_the_whole_input_are_named_all_at_once() {
    let mut world = input(&["L1", "L1"]);
    world.stock("L9", "A 5");
    world.config.age_step_days = 0;
    let found = orders::plan(Op::Split, &world).unwrap_err().0;
    assert!(matches!(
        &found[0],
        InputError::OutOfRange {
            field: "age_step_days",
            ..
        }
    ));
    assert!(found.iter().any(|f| matches!(
        f,
        InputError::Duplicate {
            kind: "location",
            ..
        }
    )));
    assert!(
        found
            .iter()
            .any(|f| matches!(f, InputError::UnknownLocation { .. }))
    );
}

#[test]
fn one_bad_order_stops_nobody_else() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5");
    world.order("bad", "A 0");
    world.order("good", "A 3");
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["good L1 1x3"]);
    let refused: Vec<_> = plan
        .reasons
        .iter()
        .filter(|r| r.code == Code::BadOrder)
        .collect();
    assert_eq!(
        refused[0].text,
        "bad is not planned: line `1` asks for 0 units"
    );
}

#[test]
fn an_order_that_contradicts_itself_is_refused_in_a_plan_that_passes_the_judge() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 9");
    world.order("twice", "A 4, A 2");
    world.orders[0].lines[1].id = "1".to_owned();
    world.order("below", "A 3");
    world.orders[1].lines[0].qty = -1;
    world.order("good", "A 3");
    for op in [Op::Allocate, Op::Split, Op::Pick, Op::Fill] {
        let made = orders::plan(op, &world).unwrap();
        let broken = orders::check(&world, &made);
        assert!(broken.is_empty(), "{op:?}: {broken:?}");
        if op != Op::Allocate {
            assert_eq!(shipped(&made), ["good L1 1x3"], "{op:?}");
        }
    }
}

#[test]
fn a_cycle_or_a_bill_too_deep_refuses_only_who_needs_it() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 9, X 1, N0 100");
    world.bom("X", "Y 1");
    world.bom("Y", "X 1");
    for n in 1..=17 {
        world.bom(&format!("N{n}"), &format!("N{} 1", n - 1));
    }
    world.order("cycle", "X 1");
    world.order("deep", "N17 1");
    world.order("fits", "N16 1");
    world.order("plain", "A 1");
    let plan = plan(Op::Split, &world);
    assert_eq!(shipped(&plan), ["fits L1 1x1", "plain L1 1x1"]);
    assert_eq!(
        short(&plan, "cycle"),
        [("1".to_owned(), 1, Code::BomInvalid)]
    );
    assert_eq!(
        short(&plan, "deep"),
        [("1".to_owned(), 1, Code::BomInvalid)]
    );
}

#[test]
fn a_negative_lot_is_an_incident_and_gives_nothing() {
    let mut world = input(&["L1"]);
    world.stock("L1", "A 5");
    world.lots[0].external = 8;
    world.order("1", "A 1");
    let plan = plan(Op::Split, &world);
    assert!(plan.shipments.is_empty());
    let incident = &plan.reasons[0];
    assert_eq!((incident.code, incident.qty), (Code::NodeDeficit, Some(3)));
}

#[test]
fn p17_totals_of_a_million_million_steps_stay_exact() {
    let mut world = input(&["L1", "L2"]);
    let most = orders::QTY_MAX;
    world.stock("L1", &format!("A {}", most - 1));
    world.stock("L2", &format!("A {most}"));
    world.cost("*", "L1", 1, orders::COST_MAX - 1);
    world.cost("*", "L2", 1, orders::COST_MAX);
    world.order("1", &format!("A {most}"));
    let plan = plan(Op::Split, &world);
    assert_eq!(
        shipped(&plan),
        [format!("1 L1 1x{}", most - 1), "1 L2 1x1".to_owned()]
    );
    let (most, cost) = (i128::from(most), i128::from(orders::COST_MAX));
    assert_eq!(
        plan.efficiency[&Term::Cost],
        2 + (most - 1) * (cost - 1) + cost
    );
    assert!(plan.exact);
}

#[test]
fn an_order_of_five_thousand_lines_is_planned() {
    let mut world = input(&["L1", "L2"]);
    let skus: Vec<String> = (0..5_000).map(|n| format!("S{n:04} 2")).collect();
    world.stock("L1", &skus[..4_000].join(", "));
    world.stock("L2", &skus[3_000..].join(", "));
    world.order("1", &skus.join(", ")).complete = Complete::Order;
    for op in [Op::Allocate, Op::Split] {
        let plan = orders::plan(op, &world).unwrap();
        assert_eq!(plan.shipments.len(), 2);
        assert!(plan.short.is_empty());
    }
}
