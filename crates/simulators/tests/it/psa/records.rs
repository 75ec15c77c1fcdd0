//! Records: the shapes answered, and what writing does.

use super::client::{ids, psa, psa_with};
use serde_json::{Value, json};
use simulators::connectwise::Options;

#[tokio::test]
async fn an_opportunity_has_the_documented_shape() {
    let sim = psa().await;
    let deal = sim.get("sales/opportunities/1", &[]).await;
    let status = &deal["status"];
    assert_eq!(status["id"], 1);
    assert_eq!(status["name"], "Open");
    assert!(
        status["_info"]["status_href"]
            .as_str()
            .unwrap()
            .ends_with("/sales/opportunities/statuses/1"),
        "{status}"
    );
    assert!(deal["company"]["identifier"].is_string(), "{deal}");
    assert!(
        deal["contact"]["name"].as_str().unwrap().contains(' '),
        "{deal}"
    );
    assert!(deal["probability"]["name"].is_string(), "{deal}");
    assert!(
        deal["_info"]["notes_href"]
            .as_str()
            .unwrap()
            .ends_with("/sales/opportunities/1/notes")
    );
    assert!(deal.get("closedFlag").is_none());
    assert!(
        !sim.call("GET", "sales/opportunities/1", None)
            .await
            .text
            .contains("null,"),
        "missing members are left out"
    );
    assert_eq!(deal["customFields"].as_array().unwrap().len(), 2);
    let answer = sim.call("GET", "sales/opportunities/1", None).await;
    assert!(
        answer.text.starts_with("{\"id\":1,\"name\":"),
        "{}",
        answer.text
    );
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/vnd.connectwise.com+json; version=2026.1")
    );
    assert_eq!(answer.header("api-current-version"), Some("2026.1"));
    let nulls = psa_with(Options {
        explicit_nulls: true,
        ..Options::for_testing()
    })
    .await;
    assert_eq!(
        nulls
            .get("sales/opportunities/1", &[])
            .await
            .get("closedDate"),
        Some(&Value::Null)
    );
}

#[tokio::test]
async fn an_old_model_lacks_the_members_that_came_later() {
    let sim = psa().await;
    let id = sim.psa.truth().ids("procurement/products")[0];
    let path = format!("procurement/products/{id}");
    let ask = |accept: &'static str| sim.send(sim.request("GET", &path).header("accept", accept));
    let old = ask("application/vnd.connectwise.com+json; version=2022.1").await;
    assert!(old.json().get("extPrice").is_none());
    assert!(
        old.header("content-type")
            .unwrap()
            .contains("version=2022.1")
    );
    assert!(ask("*/*").await.json().get("extPrice").is_some());
}

#[tokio::test]
async fn a_deal_is_created_replaced_patched_and_deleted() {
    let sim = psa().await;
    let body = json!({"name": "Switches", "company": {"id": 2}, "contact": {"id": 30}, "primarySalesRep": {"identifier": "Ada"}});
    let made = sim.put("POST", "sales/opportunities", body, 201).await;
    let id = made["id"].as_i64().unwrap();
    assert_eq!(id, 301);
    assert_eq!(made["status"]["name"], "Open");
    assert_eq!(made["_info"]["updatedBy"], "Millpond");
    let path = format!("sales/opportunities/{id}");

    let patch = json!([{"op": "replace", "path": "/name", "value": "More switches"}, {"op": "replace", "path": "status", "value": {"name": "Won"}}]);
    let won = sim.put("PATCH", &path, patch, 200).await;
    assert_eq!(won["name"], "More switches");
    assert_eq!(won["status"]["id"], 2);
    assert!(
        won["closedDate"].is_string() && won["closedBy"]["identifier"] == "Millpond",
        "{won}"
    );
    let reopened = sim
        .put(
            "PATCH",
            &path,
            json!([{"op": "replace", "path": "status/id", "value": 1}]),
            200,
        )
        .await;
    assert!(reopened.get("closedDate").is_none());

    let whole = json!({"name": "Replaced", "expectedCloseDate": "2026-12-01T00:00:00Z", "locationId": 1, "businessUnitId": 1,
                       "company": {"id": 2}, "contact": {"id": 30}, "primarySalesRep": {"id": 2}});
    let replaced = sim.put("PUT", &path, whole, 200).await;
    assert_eq!(replaced["expectedCloseDate"], "2026-12-01T00:00:00Z");
    assert_eq!(replaced["primarySalesRep"]["id"], 2);

    let gone = sim.call("DELETE", &path, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let missing = sim.call("GET", &path, None).await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.json(),
        json!({"code": "NotFound", "message": format!("Opportunity {id} not found")})
    );
}

#[tokio::test]
async fn a_body_with_faults_names_each_and_changes_nothing() {
    let sim = psa().await;
    let answer = sim
        .call(
            "POST",
            "company/contacts",
            Some(json!({"lastName": "Nobody", "gender": "Unknown"})),
        )
        .await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!("InvalidObject"), &json!("contact object is invalid"))
    );
    assert_eq!(body["errors"][0]["resource"], "contact");
    assert_eq!(body["errors"][0]["field"], "gender");
    let long = json!([{"op": "replace", "path": "name", "value": "x".repeat(101)}]);
    assert_eq!(
        sim.call("PATCH", "sales/opportunities/1", Some(long))
            .await
            .status,
        400
    );
    let steps = json!([{"op": "replace", "path": "name", "value": "half done"}, {"op": "replace", "path": "company", "value": {"id": 9999}}]);
    let half = sim
        .call("PATCH", "sales/opportunities/1", Some(steps))
        .await;
    assert_eq!(half.status, 400, "{}", half.text);
    assert_ne!(
        sim.get("sales/opportunities/1", &[]).await["name"],
        "half done"
    );
    // The case of a path counts.
    let wrong = json!([{"op": "replace", "path": "Name", "value": "x"}]);
    assert_eq!(
        sim.call("PATCH", "sales/opportunities/1", Some(wrong))
            .await
            .status,
        400
    );
    assert_eq!(
        sim.call("PATCH", "sales/opportunities/1", Some(json!({"name": "x"})))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told_apart() {
    let sim = psa().await;
    for path in [
        "sales/nothing",
        "company/companies/1/contacts",
        "company/contacts/1/communications",
        "sales/opportunities/search",
    ] {
        let answer = sim.call("GET", path, None).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.json(),
            json!({"code": "ConnectWiseApi", "message": "The endpoint does not exist."})
        );
    }
    assert_eq!(
        sim.call("DELETE", "sales/opportunities", None).await.status,
        405
    );
    assert_eq!(
        sim.call(
            "PUT",
            "procurement/adjustments/1/details/1",
            Some(json!({}))
        )
        .await
        .status,
        405
    );
    let contacts = psa_with(Options {
        company_contacts_path: true,
        ..Options::for_testing()
    })
    .await;
    assert!(!ids(&contacts.get("company/companies/1/contacts", &[]).await).is_empty());
}

#[tokio::test]
async fn notes_and_contacts_of_a_deal_are_kept_and_move_its_stamp_only_where_set_up_so() {
    for bump in [false, true] {
        let sim = psa_with(Options {
            bump_parent: bump,
            ..Options::for_testing()
        })
        .await;
        let before = sim.get("sales/opportunities/2", &[]).await["_info"]["lastUpdated"].clone();
        let note = sim
            .put(
                "POST",
                "sales/opportunities/2/notes",
                json!({"text": "Called"}),
                201,
            )
            .await;
        assert_eq!(note["opportunityId"], 2);
        let path = format!("sales/opportunities/2/notes/{}", note["id"]);
        let changed = sim
            .put(
                "PATCH",
                &path,
                json!([{"op": "replace", "path": "text", "value": "Called twice"}]),
                200,
            )
            .await;
        assert_eq!(changed["text"], "Called twice");
        let contact = sim
            .put(
                "POST",
                "sales/opportunities/2/contacts",
                json!({"contact": {"id": 3}, "role": {"id": 1}}),
                201,
            )
            .await;
        assert_eq!(
            contact["company"]["id"],
            sim.get("company/contacts/3", &[]).await["company"]["id"]
        );
        assert_eq!(sim.call("DELETE", &path, None).await.status, 204);
        assert_eq!(sim.call("GET", &path, None).await.status, 404);
        let after = sim.get("sales/opportunities/2", &[]).await["_info"]["lastUpdated"].clone();
        assert_eq!(before != after, bump);
    }
}

#[tokio::test]
async fn a_forecast_is_one_object_whose_put_gives_new_ids_and_whose_patch_keeps_them() {
    let sim = psa().await;
    let deal = sim.psa.add_opportunities(1)[0];
    let path = format!("sales/opportunities/{deal}/forecast");
    for (item, quantity) in [(1, 2), (2, 3)] {
        let body = json!({"catalogItem": {"id": item}, "quantity": quantity, "billableOption": "Billable", "opportunity": {"id": deal}});
        sim.put("POST", "procurement/products", body, 201).await;
    }
    let forecast = sim.get(&path, &[]).await;
    let lines = forecast["forecastItems"].as_array().unwrap().clone();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["sequenceNumber"], 2.0);
    let sum: f64 = lines
        .iter()
        .map(|line| line["revenue"].as_f64().unwrap())
        .sum();
    assert_eq!(
        forecast["productRevenue"]["revenue"].as_f64(),
        Some((sum * 100.0).round() / 100.0)
    );
    let products = format!("opportunity/id={deal}");
    let linked = sim
        .get("procurement/products", &[("conditions", &products)])
        .await;
    assert_eq!(linked[0]["forecastDetailId"], lines[0]["id"]);

    let patch = json!([{"op": "replace", "path": "/forecastItems/1/forecastDescription", "value": "Renamed"}]);
    let patched = sim.put("PATCH", &path, patch, 200).await;
    assert_eq!(
        patched["forecastItems"][1]["forecastDescription"],
        "Renamed"
    );
    assert_eq!(patched["forecastItems"][1]["id"], lines[1]["id"]);

    // With the slash that the specification writes for this method.
    let mut turned = forecast.clone();
    turned["forecastItems"].as_array_mut().unwrap().reverse();
    let replaced = sim.put("PUT", &format!("{path}/"), turned, 200).await;
    assert_eq!(
        replaced["forecastItems"][0]["catalogItem"]["id"],
        lines[1]["catalogItem"]["id"]
    );
    assert_eq!(replaced["forecastItems"][0]["revenue"], lines[1]["revenue"]);
    assert!(!ids(&replaced["forecastItems"]).contains(&lines[0]["id"].as_i64().unwrap()));
    let cut_off = sim
        .get("procurement/products", &[("conditions", &products)])
        .await;
    assert_eq!(
        cut_off[0]["forecastDetailId"], lines[0]["id"],
        "the product still names the line that has gone"
    );
    assert_eq!(sim.get(&format!("{path}/count"), &[]).await["count"], 2);

    let array = psa_with(Options {
        forecast_array: true,
        ..Options::for_testing()
    })
    .await;
    assert!(
        array
            .get("sales/opportunities/1/forecast", &[])
            .await
            .is_array()
    );
}

#[tokio::test]
async fn an_adjustment_moves_what_is_on_hand() {
    let sim = psa().await;
    let rows = sim.get("procurement/catalog/1/inventory", &[]).await;
    let before: i64 = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["onHand"].as_i64().unwrap())
        .sum();
    assert_eq!(
        sim.get("procurement/catalog/1/quantityOnHand", &[]).await["count"],
        before
    );
    assert_eq!(
        sim.get("procurement/catalog/PND-00001/quantityOnHand", &[])
            .await["count"],
        before
    );
    let in_bin = rows[0]["onHand"].as_i64().unwrap();
    let body = json!({"identifier": "COUNT-1", "type": {"id": 1}, "reason": "Count", "adjustmentDetails": [
        {"catalogItem": {"id": 1}, "warehouse": {"id": 1}, "warehouseBin": {"id": 1}, "quantityAdjusted": 7}]});
    let made = sim.put("POST", "procurement/adjustments", body, 201).await;
    assert_eq!(
        made["adjustmentDetails"][0]["quantityOnHand"],
        (in_bin + 7) as f64
    );
    assert_eq!(
        sim.get(
            "procurement/catalog/1/quantityOnHand",
            &[("warehouseBinId", "1")]
        )
        .await["count"],
        in_bin + 7
    );
    assert_eq!(sim.psa.truth().on_hand(1), before + 7);
    let details = format!("procurement/adjustments/{}/details", made["id"]);
    let detail = ids(&sim.get(&details, &[]).await)[0];
    assert_eq!(
        sim.call("DELETE", &format!("{details}/{detail}"), None)
            .await
            .status,
        204
    );
    assert_eq!(sim.psa.truth().on_hand(1), before);
    // Every listed item's stock adds up to its rows.
    let bins = sim
        .get("procurement/warehouseBins/1/inventoryOnHand", &[])
        .await;
    assert!(
        bins.as_array()
            .unwrap()
            .iter()
            .all(|row| row["warehouseBin"]["id"] == 1)
    );
}

#[tokio::test]
async fn contacts_keep_one_default_per_kind_of_communication() {
    let sim = psa().await;
    let first = sim.get("company/contacts/1", &[]).await;
    assert_eq!(first["communicationItems"].as_array().unwrap().len(), 2);
    let add = json!([{"op": "add", "path": "/communicationItems/2", "value": {"type": {"id": 1}, "value": "new@pond.example", "defaultFlag": true, "communicationType": "Email"}}]);
    let changed = sim.put("PATCH", "company/contacts/1", add, 200).await;
    let items = changed["communicationItems"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[1]["defaultFlag"], false, "{items:?}");
    assert_eq!(items[2]["defaultFlag"], true);
    assert_eq!(items[2]["domain"], "@pond.example");
    let edit =
        json!([{"op": "replace", "path": "/communicationItems/0/value", "value": "5551234"}]);
    let changed = sim.put("PATCH", "company/contacts/1", edit, 200).await;
    assert_eq!(changed["communicationItems"][0]["value"], "5551234");
    // At index 0 it is appended all the same, and is no default.
    let add = json!([{"op": "add", "path": "communicationItems/0", "value": {"type": {"id": 2}, "value": "5559999", "defaultFlag": true, "communicationType": "Phone"}}]);
    let changed = sim.put("PATCH", "company/contacts/1", add, 200).await;
    assert_eq!(changed["communicationItems"][3]["value"], "5559999");
    assert_eq!(changed["communicationItems"][3]["defaultFlag"], false);
}

#[tokio::test]
async fn what_is_in_use_stays_and_companies_are_only_marked() {
    let sim = psa().await;
    assert_eq!(
        sim.call("DELETE", "sales/opportunities/statuses/1", None)
            .await
            .status,
        409
    );
    assert_eq!(
        sim.call("DELETE", "company/companies/3", None).await.status,
        204
    );
    assert_eq!(
        sim.get("company/companies/3", &[]).await["deletedFlag"],
        true
    );
    let kept = sim
        .ids("company/companies", &[("conditions", "deletedFlag=False")])
        .await;
    assert!(!kept.contains(&3) && kept.len() == 39);
}

#[tokio::test]
async fn custom_fields_keep_what_a_patch_leaves_out() {
    let sim = psa().await;
    let before = sim.get("sales/opportunities/1", &[]).await["customFields"].clone();
    let patch = json!([{"op": "replace", "path": "customFields", "value": [{"id": before[1]["id"], "value": 9}]}]);
    let after = sim.put("PATCH", "sales/opportunities/1", patch, 200).await["customFields"].clone();
    assert_eq!(after[1]["value"], 9);
    assert_eq!(after[0], before[0]);
    let none = sim
        .put(
            "PATCH",
            "sales/opportunities/1",
            json!([{"op": "replace", "path": "customFields", "value": []}]),
            200,
        )
        .await;
    assert_eq!(none["customFields"], after);
}

#[tokio::test]
async fn tickets_close_with_their_status_and_can_be_searched_by_body() {
    let sim = psa().await;
    let made = sim.put("POST", "service/tickets", json!({"summary": "Help", "company": {"identifier": sim.get("company/companies/1", &[]).await["identifier"]}}), 201).await;
    assert_eq!(made["closedFlag"], false);
    let path = format!("service/tickets/{}", made["id"]);
    let closed = sim
        .put(
            "PATCH",
            &path,
            json!([{"op": "replace", "path": "status", "value": {"id": 4}}]),
            200,
        )
        .await;
    assert_eq!(closed["closedFlag"], true);
    assert!(
        closed["closedDate"].is_string() && closed["_info"]["dateEntered"].is_string(),
        "{closed}"
    );
    let found = sim
        .put(
            "POST",
            "service/tickets/search?pageSize=1000",
            json!({"conditions": "closedFlag = true", "orderBy": "id desc"}),
            200,
        )
        .await;
    assert_eq!(ids(&found)[0], made["id"].as_i64().unwrap());
    let all = sim.psa.truth().documents("service/tickets");
    assert_eq!(
        ids(&found).len(),
        all.iter()
            .filter(|(_, one)| one["closedFlag"] == true)
            .count()
    );
}

#[tokio::test]
async fn a_stage_change_writes_an_activity_of_its_own() {
    let sim = psa().await;
    let deal = sim.psa.add_opportunities(1)[0];
    sim.put(
        "PATCH",
        &format!("sales/opportunities/{deal}"),
        json!([{"op": "replace", "path": "stage", "value": {"id": 2}}]),
        200,
    )
    .await;
    let conditions = format!("opportunity/id={deal}");
    let activities = sim
        .get("sales/activities", &[("conditions", &conditions)])
        .await;
    assert_eq!(
        activities[0]["name"],
        "Stage Change from 1.Prospect to 2.Qualification"
    );
}
