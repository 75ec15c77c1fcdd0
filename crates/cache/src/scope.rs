//! Whose a value is. A scope is part of every physical key, so two tenants, two instances or two users
//! never share an entry, and a key cannot be built without naming the owner.

use crate::key::escape;

mod sealed {
    pub trait Sealed {}
}

/// Whose the values of a family are: [`Everyone`], [`PerInstance`], [`PerTenant`], [`PerUser`] or [`PerModel`].
pub trait Scope: sealed::Sealed + Send + Sync + 'static {
    /// What a key must be given to say whose it is.
    type Owner<'a>;
    /// The scope's name in tools.
    const NAME: &'static str;
    #[doc(hidden)]
    fn write(owner: &Self::Owner<'_>, out: &mut String);
}

/// No owner: the key itself is unguessable or the value is the same for all.
#[derive(Debug)]
pub enum Everyone {}
/// One instance of an upstream.
#[derive(Debug)]
pub enum PerInstance {}
/// One tenant.
#[derive(Debug)]
pub enum PerTenant {}
/// One user of one tenant: end-user data.
#[derive(Debug)]
pub enum PerUser {}
/// One maker of values, in one version: values of another one are other values.
#[derive(Debug)]
pub enum PerModel {}

/// The instance a value belongs to, by name.
#[derive(Debug, Clone, Copy)]
pub struct Instance<'a>(pub &'a str);

/// The tenant a value belongs to, by id.
#[derive(Debug, Clone, Copy)]
pub struct Tenant<'a>(pub &'a str);

/// The user a value belongs to. There is no way to leave the user out.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// The tenant's id.
    pub tenant: Tenant<'a>,
    /// The user's id within the tenant.
    pub user: &'a str,
}

/// Who made a value, with its version.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a>(pub &'a str);

impl sealed::Sealed for Everyone {}
impl sealed::Sealed for PerInstance {}
impl sealed::Sealed for PerTenant {}
impl sealed::Sealed for PerUser {}
impl sealed::Sealed for PerModel {}

impl Scope for Everyone {
    type Owner<'a> = ();
    const NAME: &'static str = "everyone";
    fn write(_: &(), out: &mut String) {
        out.push('e');
    }
}

impl Scope for PerInstance {
    type Owner<'a> = Instance<'a>;
    const NAME: &'static str = "instance";
    fn write(owner: &Instance<'_>, out: &mut String) {
        out.push_str("i=");
        escape(owner.0, out);
    }
}

impl Scope for PerTenant {
    type Owner<'a> = Tenant<'a>;
    const NAME: &'static str = "tenant";
    fn write(owner: &Tenant<'_>, out: &mut String) {
        out.push_str("t=");
        escape(owner.0, out);
    }
}

impl Scope for PerUser {
    type Owner<'a> = User<'a>;
    const NAME: &'static str = "user";
    fn write(owner: &User<'_>, out: &mut String) {
        out.push_str("u=");
        escape(owner.tenant.0, out);
        out.push('/');
        escape(owner.user, out);
    }
}

impl Scope for PerModel {
    type Owner<'a> = Model<'a>;
    const NAME: &'static str = "model";
    fn write(owner: &Model<'_>, out: &mut String) {
        out.push_str("m=");
        escape(owner.0, out);
    }
}
