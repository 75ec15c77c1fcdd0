//! Creating, replacing, changing and deleting records.

mod defaults;
mod effects;
pub(crate) mod forecast;
mod patch;
mod stock;
mod stored;

use super::kinds::{Kind, kind};
use super::reply::{Answer, Fault, Refusal};
use super::world::{Members, World};
use serde_json::{Map, Value};
use stored::{Mode, stored_members};

/// What happened to a record, as callbacks name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Added,
    Updated,
    Deleted,
}

impl World {
    /// Creates a record from what a client sent and answers its id.
    pub(crate) fn create(
        &mut self,
        kind: &'static Kind,
        parent: Option<i64>,
        body: &Value,
    ) -> Answer<i64> {
        let body = object(kind, body)?;
        let mut members = stored_members(self, kind, body, Mode::Create)?;
        if let (Some((_, link)), Some(parent)) = (kind.parent, parent) {
            members.insert(link.into(), parent.into());
        }
        self.fill_defaults(kind, &mut members);
        self.check(kind, None, &members)?;
        let details = stock::details_of(self, kind, body)?;
        let id = self.add(kind, members);
        self.created(kind, id);
        for detail in details {
            self.add_detail(id, detail);
        }
        self.announce(kind, id, Action::Added);
        Ok(id)
    }

    /// Replaces what a client may set of a record.
    pub(crate) fn replace(&mut self, kind: &'static Kind, id: i64, body: &Value) -> Answer<()> {
        let body = object(kind, body)?;
        let mut members = stored_members(self, kind, body, Mode::Replace)?;
        let before = self.members_of(kind, id)?;
        for field in &kind.fields {
            let kept = field.server || kind.parent.is_some_and(|(_, link)| link == field.name);
            if let Some(value) = before.get(field.name).filter(|_| kept) {
                members.insert(field.name.into(), value.clone());
            }
        }
        self.fill_defaults(kind, &mut members);
        self.commit(kind, id, before, members)
    }

    /// Applies a list of `{op, path, value}` to a record, all or nothing.
    pub(crate) fn patch(&mut self, kind: &'static Kind, id: i64, body: &Value) -> Answer<()> {
        let before = self.members_of(kind, id)?;
        let members = patch::patched(self, kind, &before, body)?;
        self.commit(kind, id, before, members)
    }

    fn commit(
        &mut self,
        kind: &'static Kind,
        id: i64,
        before: Members,
        mut members: Members,
    ) -> Answer<()> {
        self.follow_status(kind, &before, &mut members);
        self.check(kind, Some(id), &members)?;
        if let Some(row) = self.row_mut(kind, id) {
            row.members = members;
        }
        self.stamp(kind, id);
        self.changed(kind, id, &before);
        self.announce(kind, id, Action::Updated);
        Ok(())
    }

    /// Deletes a record, or marks it as deleted where the service only does that.
    pub(crate) fn delete(&mut self, kind: &'static Kind, id: i64) -> Answer<()> {
        self.members_of(kind, id)?;
        let guarded = kind.setup || ["contact", "catalogItem", "site"].contains(&kind.name);
        if guarded && self.is_used(kind, id) {
            return Err(Refusal::in_use(kind.type_name, id));
        }
        if kind.name == "company" {
            let (now, by) = (super::render::stamp(self.now()), self.actor.clone());
            if let Some(row) = self.row_mut(kind, id) {
                row.members.insert("deletedFlag".into(), true.into());
                row.members.insert("dateDeleted".into(), now.into());
                row.members.insert("deletedBy".into(), (*by).into());
            }
            self.stamp(kind, id);
        } else {
            self.deleting(kind, id);
            self.remove(kind, id);
        }
        self.announce(kind, id, Action::Deleted);
        Ok(())
    }

    fn members_of(&self, kind: &Kind, id: i64) -> Answer<Members> {
        let row = self.row(kind, id);
        row.map(|row| row.members.clone())
            .ok_or_else(|| Refusal::not_found(kind.type_name, id))
    }

    /// What one kind demands beyond its members' types.
    fn check(&self, kind: &Kind, id: Option<i64>, members: &Members) -> Answer<()> {
        match kind.name {
            "callback" => super::callbacks::check(self, id, members),
            "company" => {
                let identifier = members.get("identifier").and_then(Value::as_str);
                let twin = identifier.and_then(|text| self.find_by(kind, "identifier", text));
                self.refuse_twin(kind, id, twin, "identifier")
            }
            "catalogItem" => {
                let identifier = members.get("identifier").and_then(Value::as_str);
                let twin = identifier.and_then(|text| self.find_by(kind, "identifier", text));
                self.refuse_twin(kind, id, twin, "identifier")
            }
            _ => Ok(()),
        }
    }

    fn refuse_twin(
        &self,
        kind: &Kind,
        id: Option<i64>,
        twin: Option<i64>,
        field: &str,
    ) -> Answer<()> {
        if twin.is_none() || twin == id {
            return Ok(());
        }
        let fault = Fault {
            code: "ObjectExists",
            message: format!("The {field} already exists."),
            resource: kind.resource.clone(),
            field: field.into(),
        };
        Err(Refusal::invalid(&kind.resource, vec![fault]))
    }

    /// Tells whoever registered for it.
    pub(crate) fn announce(&mut self, of: &'static Kind, id: i64, action: Action) {
        super::callbacks::announce(self, of, id, action);
        // A write below an opportunity moves its stamp where the service is set up so.
        let below = [
            "opportunityNote",
            "opportunityContact",
            "forecastItem",
            "product",
        ];
        if self.options.bump_parent && below.contains(&of.name) {
            self.bump(of, id);
        }
    }

    fn bump(&mut self, of: &Kind, id: i64) {
        let link = if of.name == "product" {
            "opportunity"
        } else {
            of.parent.map_or("", |(_, link)| link)
        };
        if let Some(parent) = self.link(of, id, link) {
            self.stamp(kind("opportunity"), parent);
            super::callbacks::announce(self, kind("opportunity"), parent, Action::Updated);
        }
    }
}

fn object<'b>(kind: &Kind, body: &'b Value) -> Answer<&'b Map<String, Value>> {
    body.as_object()
        .ok_or_else(|| Refusal::bad_body(&kind.resource, "The body must be a JSON object"))
}
