//! JSON text as PostgreSQL's binary `jsonb` parameter, without parsing it on our side.

use bytes::Bytes;
use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo},
};

/// The only version of the wire format.
pub(super) const JSONB_VERSION: u8 = 1;

/// JSON text on its way into a `jsonb` column. PostgreSQL checks it.
pub(super) struct Jsonb(pub Bytes);

impl Type<Postgres> for Jsonb {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("jsonb")
    }
}

impl PgHasArrayType for Jsonb {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_jsonb")
    }
}

impl Encode<'_, Postgres> for Jsonb {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(JSONB_VERSION);
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}
