//! Customers, suppliers and locations.

use super::{numbered, overlay};
use crate::cin7::json::{J, fields, obj};
use crate::cin7::world::books::TIERS;
use crate::cin7::world::sale::TAX_RULES;
use crate::cin7::world::{World, id_of};

impl World {
    pub(crate) fn customer_document(&self, at: u32, prices: bool) -> J<'_> {
        let customer = self.customer(at);
        let address = |kind: &'static str, default: bool| {
            obj! {
                "Line1": customer.street(),
                "Line2": "",
                "City": customer.town(),
                "State": "",
                "Postcode": customer.postcode(),
                "Country": &customer.country,
                "Type": kind,
                "DefaultForType": default,
                "ID": id_of(&format!("address/{}/{kind}", customer.id)),
            }
        };
        let contact = obj! {
            "Name": customer.contact(),
            "JobTitle": "Buyer",
            "Phone": customer.phone(),
            "MobilePhone": "",
            "Fax": "",
            "Email": customer.email(),
            "Website": "",
            "Default": true,
            "Comment": "",
            "IncludeInEmail": true,
            "MarketingConsent": 1_i64,
            "ID": id_of(&format!("contact/{}", customer.id)),
        };
        let mut fields = fields! {
            "ID": customer.id,
            "Name": &customer.name,
            "DisplayName": &customer.name,
            "Currency": self.currency(),
            "PaymentTerm": "30 days",
            "Discount": 0_i64,
            "TaxRule": if customer.country == "United Kingdom" { TAX_RULES[0].0 } else { TAX_RULES[1].0 },
            "Carrier": "DHL",
            "SalesRepresentative": "Morgan Reeve",
            "Location": J::Null,
            "Comments": "",
            "AccountReceivable": "610",
            "RevenueAccount": "200",
            "PriceTier": TIERS[usize::from(customer.tier.clamp(1, 10)) - 1],
            "TaxNumber": J::Null,
        };
        fields.extend(numbered!("AdditionalAttribute").map(|key| (key, J::Str(""))));
        let more = fields! {
            "AttributeSet": J::Null,
            "Tags": J::Null,
            "Status": if customer.deprecated { "Deprecated" } else { "Active" },
            "CreditLimit": 0_i64,
            "IsOnCreditHold": false,
            "IsLegalEntity": true,
            "CustomerParentID": J::Null,
            "CustomerParentName": J::Null,
            "IsBillParent": false,
            "LastModifiedOn": customer.modified,
            "Addresses": vec![address("Billing", true), address("Shipping", true)],
            "Contacts": vec![contact],
            "ProductPrices": if prices { self.papers_where("custom-prices", "CustomerID", customer.id) } else { vec![] },
            "ChildCustomers": J::Arr(vec![]),
        };
        fields.extend(more);
        let mut doc = J::Obj(fields);
        overlay(&mut doc, customer.written.as_deref());
        doc
    }

    pub(crate) fn supplier_document(&self, at: usize) -> J<'_> {
        let supplier = &self.suppliers[at];
        let address = obj! {
            "Line1": format!("{} Dock Road", at + 1), "Line2": "", "City": "Portside", "State": "",
            "Postcode": format!("PS{} 1AA", at + 1), "Country": supplier.country, "Type": "Business",
            "DefaultForType": true, "ID": id_of(&format!("address/{}", supplier.id)),
        };
        let contact = obj! {
            "Name": "Sales desk", "Phone": "+44 1632 960100", "MobilePhone": "", "Fax": "",
            "Email": format!("sales{}@example.com", at + 1), "Website": "", "Default": true, "Comment": "",
            "IncludeInEmail": true, "ID": id_of(&format!("contact/{}", supplier.id)),
        };
        let mut fields = fields! {
            "ID": supplier.id,
            "Name": &supplier.name,
            "Currency": self.currency(),
            "PaymentTerm": "30 days",
            "TaxRule": TAX_RULES[1].0,
            "Discount": 0_i64,
            "Comments": "",
            "AccountPayable": "800",
            "TaxNumber": J::Null,
        };
        fields.extend(numbered!("AdditionalAttribute").map(|key| (key, J::Str(""))));
        let more = fields! {
            "AttributeSet": J::Null,
            "Status": if supplier.deprecated { "Deprecated" } else { "Active" },
            "LastModifiedOn": supplier.modified,
            "Addresses": vec![address],
            "Contacts": vec![contact],
        };
        fields.extend(more);
        let mut doc = J::Obj(fields);
        overlay(&mut doc, supplier.written.as_deref());
        doc
    }

    /// A warehouse with its bins, or a bin as a row of its own.
    pub(crate) fn location_document(&self, at: u16) -> J<'_> {
        let place = self.place(at);
        let bins = self.places.iter().filter(|p| p.parent == Some(at) && !p.gone).map(|bin| {
            obj! { "ID": bin.id, "Name": &bin.name, "IsDeprecated": bin.deprecated, "IsStaging": false }
        });
        let mut doc = obj! {
            "ID": place.id,
            "Name": &place.name,
            "IsDefault": place.default,
            "IsDeprecated": place.deprecated,
            "Bins": place.parent.is_none().then(|| bins.collect::<Vec<_>>()),
            "FixedAssetsLocation": false,
            "ParentID": place.parent.map(|parent| self.place(parent).id),
            "ParentName": place.parent.map(|parent| self.place(parent).name.as_str()),
            "ReferenceCount": 0_i64,
            "AddressLine1": if place.parent.is_none() { "1 Mill Lane" } else { "" },
            "AddressLine2": "",
            "AddressCitySuburb": if place.parent.is_none() { place.name.as_str() } else { "" },
            "AddressStateProvince": "",
            "AddressZipPostCode": "",
            "AddressCountry": if place.parent.is_none() { "United Kingdom" } else { "" },
            "PickZones": J::Null,
            "IsShopFloor": false,
            "IsCoMan": false,
            "IsStaging": false,
        };
        overlay(&mut doc, place.address.as_ref());
        doc
    }
}
