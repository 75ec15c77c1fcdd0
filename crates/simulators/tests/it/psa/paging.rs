//! Pages: numbered with `Link`, forward-only by id, and counts.

use super::client::{ids, psa, psa_with};
use simulators::connectwise::Options;
use std::collections::BTreeSet;

const DEALS: &str = "sales/opportunities";

fn rel<'l>(link: &'l str, rel: &str) -> Option<&'l str> {
    link.split(", ")
        .find(|part| part.ends_with(&format!("rel=\"{rel}\"")))
        .map(|part| part[1..].split('>').next().unwrap())
}

#[tokio::test]
async fn numbered_pages_hold_25_rows_at_most_1000_and_end_with_an_empty_one() {
    let sim = psa().await;
    assert_eq!(ids(&sim.get(DEALS, &[]).await).len(), 25);
    assert_eq!(
        ids(&sim.get(DEALS, &[("PAGESIZE", "5000")]).await).len(),
        300
    );
    let mut seen = vec![];
    for page in 1..=13 {
        seen.extend(ids(&sim.get(DEALS, &[("page", &page.to_string())]).await));
    }
    assert_eq!(seen, sim.psa.truth().ids(DEALS));
    let strict = psa_with(Options {
        refuse_large_page: true,
        ..Options::for_testing()
    })
    .await;
    assert_eq!(strict.ask(DEALS, &[("pageSize", "1001")]).await.status, 400);
    assert_eq!(sim.ask(DEALS, &[("page", "0")]).await.status, 400);
    assert_eq!(sim.ask(DEALS, &[("pageSize", "x")]).await.status, 400);
}

#[tokio::test]
async fn link_names_the_neighbours_and_puts_the_page_last() {
    let sim = psa().await;
    let asked = [
        ("conditions", "lastUpdated >= [2020-01-01T00:00:00Z]"),
        ("pageSize", "100"),
        ("page", "2"),
    ];
    let answer = sim.ask(DEALS, &asked).await;
    let link = answer.header("link").unwrap();
    let next = rel(link, "next").unwrap();
    assert!(next.ends_with("/sales/opportunities/?conditions=lastUpdated+%3e%3d+%5b2020-01-01T00%3a00%3a00Z%5d&pageSize=100&page=3"), "{next}");
    assert!(rel(link, "prev").unwrap().ends_with("&page=1"));
    assert!(rel(link, "last").unwrap().ends_with("&page=3"));
    // The address in the link answers, slash before the question mark and all.
    let (_, path) = next.split_once("/apis/3.0/").unwrap();
    assert_eq!(ids(&sim.call("GET", path, None).await.json()).len(), 100);
    let last = sim.ask(DEALS, &[("pageSize", "100"), ("page", "3")]).await;
    assert!(rel(last.header("link").unwrap(), "next").is_none());
    let single = sim.ask(DEALS, &[("pageSize", "1000")]).await;
    assert!(single.header("link").is_none());
}

#[tokio::test]
async fn forward_only_paging_goes_by_id_and_ends_with_an_empty_link() {
    let sim = psa().await;
    let (mut seen, mut after) = (vec![], 0);
    loop {
        // The order asked for is not looked at.
        let path = format!("{DEALS}?pageSize=70&pageId={after}&orderBy=name&conditions=id>0");
        let request = sim
            .request("GET", &path)
            .header("pagination-type", "forward-only");
        let answer = sim.send(request).await;
        seen.extend(ids(&answer.json()));
        let link = answer.header("link").unwrap().to_owned();
        if link.is_empty() {
            break;
        }
        let next = rel(&link, "next").unwrap();
        after = next.rsplit_once("pageId=").unwrap().1.parse().unwrap();
        assert_eq!(Some(&after), seen.last());
    }
    assert_eq!(seen, sim.psa.truth().ids(DEALS));
    // The trap: a start at 1 leaves record 1 out.
    let request = sim
        .request("GET", &format!("{DEALS}?pageId=1&pageSize=1"))
        .header("pagination-type", "forward-only");
    assert_eq!(ids(&sim.send(request).await.json()), [2]);
}

#[tokio::test]
async fn a_count_honours_conditions_also_below_a_record() {
    let sim = psa().await;
    assert_eq!(
        sim.get("sales/opportunities/count", &[]).await["count"],
        300
    );
    let open = sim
        .get(
            "sales/opportunities/count",
            &[("conditions", "status/id=1")],
        )
        .await;
    assert_eq!(
        open["count"],
        sim.deals(|deal| deal["status"]["id"] == 1).len()
    );
    let notes = sim
        .psa
        .truth()
        .documents("sales/opportunities/3/notes")
        .len();
    assert_eq!(
        sim.get("sales/opportunities/3/notes/count", &[]).await["count"],
        notes
    );
    assert_eq!(
        sim.call("GET", "sales/opportunities/99999/notes/count", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn pages_that_drift_lose_and_repeat_rows_as_they_do_in_life() {
    let sim = psa().await;
    sim.psa.faults().page_drift(true);
    let before: BTreeSet<i64> = sim.psa.truth().ids(DEALS).into_iter().collect();
    let mut seen = vec![];
    for page in 1..=12 {
        seen.extend(ids(&sim.get(DEALS, &[("page", &page.to_string())]).await));
    }
    sim.psa.faults().clear();
    let after: BTreeSet<i64> = sim.psa.truth().ids(DEALS).into_iter().collect();
    let seen: BTreeSet<i64> = seen.into_iter().collect();
    let missed = before
        .intersection(&after)
        .filter(|id| !seen.contains(id))
        .count();
    assert!(missed > 0, "every row that stayed was seen");
}

#[tokio::test]
async fn a_page_may_repeat_a_row_and_come_in_reverse() {
    let sim = psa().await;
    let whole = sim.psa.truth().ids(DEALS);
    sim.psa.faults().duplicate_rows(true);
    assert_eq!(
        ids(&sim.get(DEALS, &[("page", "2")]).await)[..2],
        whole[24..26]
    );
    sim.psa.faults().clear();
    sim.psa.faults().out_of_order(true);
    let mut rows = ids(&sim.get(DEALS, &[]).await);
    rows.reverse();
    assert_eq!(rows, whole[..25]);
}
