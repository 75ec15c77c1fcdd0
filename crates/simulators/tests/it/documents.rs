//! Every document carries the members that the reference lists, with the types it lists.

use crate::client::{decimal, sim, text};
use rust_decimal::Decimal;
use serde_json::Value;

/// `name:type` pairs; a type in capitals may also be null. s text, n number, b boolean, g GUID, d business date, t stamp,
/// a array, o object.
const SALE_ROW: &str = "SaleID:g OrderNumber:s Status:s OrderDate:d InvoiceDate:D Customer:s CustomerID:g InvoiceNumber:S \
    CustomerReference:s InvoiceAmount:n PaidAmount:n SaleInvoicesTotalAmount:n InvoiceDueDate:D ShipBy:D BaseCurrency:s \
    CustomerCurrency:s CreditNoteNumber:S Updated:t QuoteStatus:s OrderStatus:s CombinedPickingStatus:s \
    CombinedPaymentStatus:s CombinedTrackingNumbers:s CombinedPackingStatus:s CombinedShippingStatus:s \
    CombinedInvoiceStatus:s CombinedPaymentTotal:n CreditNoteStatus:s FulFilmentStatus:s Type:s SourceChannel:S \
    ExternalID:S OrderLocationID:g RestockStatus:s";
const SALE: &str = "ID:g Customer:s CustomerID:g Contact:s Phone:s Email:s DefaultAccount:s SkipQuote:b BillingAddress:o \
    ShippingAddress:o ShippingNotes:s BaseCurrency:s CustomerCurrency:s TaxRule:s TaxCalculation:s Terms:s PriceTier:s \
    ShipBy:D Location:s SaleOrderDate:d LastModifiedOn:t Note:s CustomerReference:s COGSAmount:n Status:s \
    CombinedPickingStatus:s CombinedPackingStatus:s CombinedShippingStatus:s FulFilmentStatus:s CombinedInvoiceStatus:s \
    CombinedPaymentStatus:s CombinedTrackingNumbers:s Carrier:s CurrencyRate:n SalesRepresentative:s ServiceOnly:b Type:s \
    SourceChannel:S ExternalID:S Quote:o Order:o Fulfilments:a Invoices:a CreditNotes:a ManualJournals:o \
    AdditionalAttributes:o Attachments:a InventoryMovements:a Transactions:a";
const ORDER_LINE: &str = "ProductID:g SKU:s Name:s Quantity:n Price:n Discount:n Tax:n AverageCost:n TaxRule:s Comment:s \
    DropShip:b Backorder:b BackorderQuantity:n Total:n ProductLength:n ProductWeight:n WeightUnits:s ProductCustomField10:S";
const PICK_LINE: &str = "ProductID:g SKU:s Name:s Location:s LocationID:g Quantity:n BatchSN:S ExpiryDate:D NonInventory:b";
const SHIP_LINE: &str =
    "ID:g ShipmentDate:d Carrier:s Boxes:s TrackingNumber:s TrackingURL:s IsShipped:b";
const INVOICE: &str = "TaskID:g InvoiceNumber:s Memo:s Status:s InvoiceDate:d InvoiceDueDate:d CurrencyConversionRate:n \
    BillingAddressLine1:s BillingAddressLine2:s LinkedFulfillmentNumber:s Lines:a AdditionalCharges:a Payments:a \
    TotalBeforeTax:n Tax:n Total:n Paid:n";
const PRODUCT: &str = "ID:g SKU:s Name:s Category:s Brand:S Type:s CostingMethod:s DropShipMode:s DefaultLocation:S \
    Length:n Width:n Height:n Weight:n UOM:s Barcode:s PriceTier1:n PriceTier10:n PriceTiers:o AverageCost:n \
    AdditionalAttribute10:s AttributeSet:S Tags:s Status:s COGSAccount:S LastModifiedOn:t Sellable:b BillOfMaterial:b \
    AutoAssembly:b AutoDisassembly:b QuantityToProduce:n BOMType:s Suppliers:a ReorderLevels:a BillOfMaterialsProducts:a \
    BillOfMaterialsServices:a Movements:a Attachments:a CustomPrices:a HSCode:s";
const AVAILABILITY: &str = "ID:g SKU:s Name:s Barcode:S Location:s Bin:S Batch:S ExpiryDate:D OnHand:n Allocated:n \
    Available:n OnOrder:n StockOnHand:n InTransit:n NextDeliveryDate:D";
const CUSTOMER: &str = "ID:g Name:s DisplayName:s Currency:s PaymentTerm:s Discount:n TaxRule:s Carrier:S Status:s \
    PriceTier:s AccountReceivable:s RevenueAccount:s CreditLimit:n IsOnCreditHold:b LastModifiedOn:t Addresses:a \
    Contacts:a ProductPrices:a ChildCustomers:a AdditionalAttribute1:s";
const SUPPLIER: &str = "ID:g Name:s Currency:s PaymentTerm:s TaxRule:s Discount:n AccountPayable:s Status:s LastModifiedOn:t Addresses:a Contacts:a";
const LOCATION: &str = "ID:g Name:s IsDefault:b IsDeprecated:b Bins:A FixedAssetsLocation:b ParentID:G ParentName:S \
    ReferenceCount:n AddressLine1:s AddressCountry:s PickZones:S IsShopFloor:b IsCoMan:b IsStaging:b";
const TRANSFER: &str = "TaskID:g From:g FromLocation:s To:g ToLocation:s Status:s Number:s CompletionDate:D DepartureDate:D \
    InTransitAccount:s CostDistributionType:s Reference:s LastModifiedOn:t RequiredByDate:D Lines:a ManualJournals:a \
    SkipOrder:b Order:o";
const ADJUSTMENT: &str = "TaskID:g EffectiveDate:d StocktakeNumber:s Status:s Account:s Reference:s Comment:s ExistingStockLines:a NewStockLines:a Transactions:a";
const STOCKTAKE: &str = "TaskID:g EffectiveDate:d StocktakeNumber:s Status:s LocationID:g Location:s LastUpdatedDate:t \
    NonZeroStockOnHandProducts:a ZeroStockOnHandProducts:a Transactions:a UseRelativeQuantity:b Tags:a";
const ASSEMBLY: &str = "TaskID:g AssemblyNumber:s Status:s ProductID:g ProductCode:s ProductName:s LocationID:g Location:s \
    BinID:G Bin:S WIPAccount:s WIPDate:D Account:s Quantity:n CompletionDate:D BatchSN:s ExpiryDate:D Notes:S \
    CustomField1:s OrderLines:a PickLines:a Transactions:a Errors:a";
const DISASSEMBLY: &str = "TaskID:g DisassemblyNumber:s Status:s ProductID:g ProductCode:s Quantity:n PickLines:a OrderLines:a OrderServiceLines:a Errors:a";
const PURCHASE_ROW: &str = "ID:g BlindReceipt:b OrderNumber:s Status:s OrderDate:d InvoiceDate:D Supplier:s SupplierID:g \
    InvoiceNumber:s InvoiceAmount:n PaidAmount:n RequiredBy:D OrderStatus:s StockReceivedStatus:s InvoiceStatus:s \
    LastUpdatedDate:s Type:s CombinedInvoiceStatus:s CombinedPaymentStatus:s CombinedReceivingStatus:s IsServiceOnly:b";
const PURCHASE: &str = "ID:g SupplierID:g Supplier:s Approach:s BillingAddress:o Location:s OrderNumber:s OrderDate:d \
    Type:s Status:s LastUpdatedDate:t Order:o StockReceived:a PutAway:a Invoice:a CreditNote:a ManualJournals:a \
    AdditionalAttributes:o Attachments:a InventoryMovements:a";

fn check(what: &str, document: &Value, shape: &str) {
    for pair in shape.split_whitespace() {
        let (name, kind) = pair.split_once(':').unwrap();
        let value = document
            .get(name)
            .unwrap_or_else(|| panic!("{what} has no {name}: {document}"));
        if kind.chars().all(char::is_uppercase) && value.is_null() {
            continue;
        }
        let text = value.as_str().unwrap_or_default();
        let fits = match kind.to_ascii_lowercase().as_str() {
            "s" => value.is_string(),
            "n" => value.is_number(),
            "b" => value.is_boolean(),
            "a" => value.is_array(),
            "o" => value.is_object(),
            "g" => text.len() == 36 && text.matches('-').count() == 4,
            "d" => text.len() == 19 && text.ends_with("T00:00:00"),
            "t" => {
                text.ends_with('Z')
                    && text.parse::<jiff::Timestamp>().is_ok()
                    && !text.contains("0Z") | !text.contains('.')
            }
            other => panic!("no kind {other}"),
        };
        assert!(fits, "{what}.{name} is no {kind}: {value}");
    }
}

#[tokio::test]
async fn documents_have_the_documented_members_and_types() {
    let sim = sim().await;
    let truth = sim.cin7.truth(sim.id());
    for (resource, shape) in [
        ("saleList", SALE_ROW),
        ("saleCreditNoteList", SALE_ROW),
        ("sale", SALE),
        ("ref/productavailability", AVAILABILITY),
        ("customer", CUSTOMER),
        ("supplier", SUPPLIER),
        ("ref/location", LOCATION),
        ("stockTransfer", TRANSFER),
        ("stockadjustment", ADJUSTMENT),
        ("stocktake", STOCKTAKE),
        ("finishedGoods", ASSEMBLY),
        ("disassembly", DISASSEMBLY),
        ("purchaseList", PURCHASE_ROW),
        ("advanced-purchase", PURCHASE),
        ("product", PRODUCT),
    ] {
        let documents = truth.documents(resource);
        assert!(!documents.is_empty(), "{resource} is empty");
        for (id, document) in documents {
            check(&format!("{resource} {id}"), &document, shape);
        }
    }
}

#[tokio::test]
async fn parts_of_a_sale_have_the_documented_members() {
    let sim = sim().await;
    let (mut picks, mut ships, mut invoices) = (0, 0, 0);
    for (id, sale) in sim.cin7.truth(sim.id()).documents("sale") {
        for line in sale["Order"]["Lines"].as_array().unwrap() {
            check(&id, line, ORDER_LINE);
        }
        for f in sale["Fulfilments"].as_array().unwrap() {
            for line in f["Pick"]["Lines"].as_array().unwrap() {
                check(&id, line, PICK_LINE);
                picks += 1;
            }
            for line in f["Pack"]["Lines"].as_array().unwrap() {
                check(&id, line, PICK_LINE);
                check(&id, line, "Box:s");
            }
            for line in f["Ship"]["Lines"].as_array().unwrap() {
                check(&id, line, SHIP_LINE);
                ships += 1;
            }
        }
        for invoice in sale["Invoices"].as_array().unwrap() {
            check(&id, invoice, INVOICE);
            invoices += 1;
        }
    }
    assert!(
        picks > 100 && ships > 10 && invoices > 10,
        "{picks} {ships} {invoices}"
    );
}

#[tokio::test]
async fn list_rows_agree_with_their_details() {
    let sim = sim().await;
    let truth = sim.cin7.truth(sim.id());
    let sales: std::collections::HashMap<_, _> = truth.documents("sale").into_iter().collect();
    for (id, row) in truth.documents("saleList") {
        let sale = &sales[&id];
        for key in [
            "Status",
            "Customer",
            "CustomerID",
            "CombinedPickingStatus",
            "CombinedPackingStatus",
            "CombinedShippingStatus",
            "CombinedInvoiceStatus",
            "CombinedPaymentStatus",
            "FulFilmentStatus",
            "CombinedTrackingNumbers",
            "Type",
            "ShipBy",
        ] {
            assert_eq!(row[key], sale[key], "{id} {key}");
        }
        assert_eq!(row["Updated"], sale["LastModifiedOn"]);
        assert_eq!(row["OrderStatus"], sale["Order"]["Status"]);
        assert_eq!(row["OrderNumber"], sale["Order"]["SaleOrderNumber"]);
        let sum = |part: &str, key: &str| -> Decimal {
            sale[part]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| decimal(&x[key]))
                .sum()
        };
        if row["Status"] != "VOIDED" {
            assert_eq!(
                decimal(&row["InvoiceAmount"]),
                sum("Invoices", "Total") - sum("CreditNotes", "Total"),
                "{id}"
            );
        }
    }
}

#[tokio::test]
async fn totals_are_exact_sums_of_their_lines() {
    let sim = sim().await;
    for (id, sale) in sim.cin7.truth(sim.id()).documents("sale") {
        let order = &sale["Order"];
        let rows = order["Lines"]
            .as_array()
            .unwrap()
            .iter()
            .chain(order["AdditionalCharges"].as_array().unwrap());
        let (net, tax) = rows.fold((Decimal::ZERO, Decimal::ZERO), |(n, t), r| {
            (n + decimal(&r["Total"]), t + decimal(&r["Tax"]))
        });
        assert_eq!(decimal(&order["TotalBeforeTax"]), net, "{id}");
        assert_eq!(decimal(&order["Total"]), net + tax, "{id}");
    }
}

#[tokio::test]
async fn flags_bring_the_heavy_parts_of_a_product() {
    let sim = sim().await;
    let kit = sim
        .all("product?IncludeBOM=true&IncludeSuppliers=true", "Products")
        .await;
    let kit = kit
        .into_iter()
        .find(|p| p["BillOfMaterial"] == true)
        .unwrap();
    assert!(
        !kit["BillOfMaterialsProducts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(!kit["Suppliers"].as_array().unwrap().is_empty());
    let bare = sim.get(&format!("product?ID={}", text(&kit, "ID"))).await["Products"][0].clone();
    assert_eq!(bare["BillOfMaterial"], true);
    assert_eq!(bare["BillOfMaterialsProducts"], serde_json::json!([]));
    assert_eq!(bare["Suppliers"], serde_json::json!([]));
}

#[tokio::test]
async fn the_deprecated_purchase_path_refuses_advanced_purchases() {
    let sim = sim().await;
    let rows = sim.all("purchaseList", "PurchaseList").await;
    let of = |kind: &str| text(rows.iter().find(|r| r["Type"] == kind).unwrap(), "ID");
    let simple = sim
        .get(&format!("purchase?ID={}", of("Simple Purchase")))
        .await;
    assert!(simple["StockReceived"].is_object() && simple["Invoice"].is_object());
    let answer = sim
        .call(
            "GET",
            &format!("purchase?ID={}", of("Advanced Purchase")),
            None,
        )
        .await;
    assert!(answer.fault().starts_with("This endpoint is deprecated"));
}

#[tokio::test]
async fn record_ids_of_the_two_accounts_collide_and_their_prices_differ() {
    let sim = sim().await;
    let eur = &sim.cin7.options().accounts[1].account_id;
    let (ours, theirs) = (sim.cin7.truth(sim.id()), sim.cin7.truth(eur));
    assert_eq!(ours.ids("saleList"), theirs.ids("saleList"));
    let id = &ours.ids("product")[0];
    let price = |truth: &simulators::cin7::Truth| {
        decimal(&truth.document("product", id).unwrap()["PriceTier1"])
    };
    assert_eq!(
        price(&theirs),
        (price(&ours) * simulators::cin7::EUR_PER_GBP).round_dp(2)
    );
}
