use cache::Position;

use super::Generations;

fn at(tx: u64) -> Position {
    Position { tx, seq: 1 }
}

#[test]
fn a_change_makes_another_generation_of_its_resource_alone() {
    let generations = Generations::default();
    generations.begin(at(10));
    let (sale, product) = (generations.of("cin7.sale"), generations.of("cin7.product"));
    assert_eq!(sale, product, "where reading began");
    generations.note("cin7.sale", at(11), true);
    assert_ne!(generations.of("cin7.sale"), sale);
    assert_eq!(generations.of("cin7.product"), product);
}

#[test]
fn processes_that_heard_the_same_agree() {
    let (one, other) = (Generations::default(), Generations::default());
    one.begin(at(1));
    other.begin(at(5));
    for generations in [&one, &other] {
        generations.note("cin7.sale", at(9), true);
    }
    assert_eq!(one.of("cin7.sale"), other.of("cin7.sale"));
}

#[test]
fn a_change_that_commits_late_makes_another_generation_too() {
    let generations = Generations::default();
    generations.note("cin7.sale", at(50), false);
    let ahead = generations.of("cin7.sale");
    generations.note("cin7.sale", at(50), false);
    assert_eq!(generations.of("cin7.sale"), ahead, "it is the same change");
    generations.note("cin7.sale", at(40), false);
    let later = generations.of("cin7.sale");
    assert_ne!(later, ahead);
    generations.note("cin7.sale", at(40), true);
    assert_ne!(generations.of("cin7.sale"), ahead);
    generations.note("cin7.sale", at(50), true);
    let settled = generations.of("cin7.sale");
    assert!(![ahead, later].contains(&settled));
    assert_eq!(settled, at(50).to_string());
}
