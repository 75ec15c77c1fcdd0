//! What may be cached: types that say so, with the shape they are stored in.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Why a value could not be turned into bytes or back.
#[derive(Debug, thiserror::Error)]
#[error("a cached value of type `{type_name}` cannot be {what}")]
pub struct CodecError {
    type_name: &'static str,
    what: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CodecError {
    /// A value of `T` could not be written.
    pub fn encoding<T>(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            type_name: std::any::type_name::<T>(),
            what: "encoded",
            source: source.into(),
        }
    }

    /// The stored bytes are no `T`.
    pub fn decoding<T>(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            type_name: std::any::type_name::<T>(),
            what: "decoded",
            source: source.into(),
        }
    }
}

/// A value that can be recomputed at any time, and therefore may be cached.
///
/// Counters, billing, and everything else that changes while it is being read must not implement it.
/// For a type with serde, [`cacheable!`](crate::cacheable) writes the implementation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not be cached",
    note = "only values that can be rebuilt from the primary database implement `Cacheable`"
)]
pub trait Cacheable: Sized + Send + Sync + 'static {
    /// The version of the stored shape. A build with another shape reads nothing of this one.
    const SHAPE: u32;

    /// The value as it is stored. Its length is what the size limit counts.
    ///
    /// # Errors
    ///
    /// When the value has no stored form; it is then served and not kept.
    fn to_bytes(&self) -> Result<Bytes, CodecError>;

    /// The value out of stored bytes.
    ///
    /// # Errors
    ///
    /// When the bytes are none of this shape; the entry is then a miss, deleted and counted.
    fn from_bytes(bytes: Bytes) -> Result<Self, CodecError>;
}

/// Makes a serde type [`Cacheable`] as JSON: `cacheable!(Principal, shape = 2)`.
#[macro_export]
macro_rules! cacheable {
    ($type:ty, shape = $shape:expr) => {
        impl $crate::Cacheable for $type {
            const SHAPE: u32 = $shape;

            fn to_bytes(&self) -> ::std::result::Result<$crate::Bytes, $crate::CodecError> {
                $crate::json_to_bytes(self)
            }

            fn from_bytes(bytes: $crate::Bytes) -> ::std::result::Result<Self, $crate::CodecError> {
                $crate::json_from_bytes(&bytes)
            }
        }
    };
}

#[doc(hidden)]
pub fn json_to_bytes<T: serde::Serialize>(value: &T) -> Result<Bytes, CodecError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(CodecError::encoding::<T>)
}

#[doc(hidden)]
pub fn json_from_bytes<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    serde_json::from_slice(bytes).map_err(CodecError::decoding::<T>)
}

/// A JSON text that is handed on without being parsed: a record's body.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// The text as it came; nobody checks that it is JSON.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The text, shared and not copied.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Body {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl Cacheable for Body {
    const SHAPE: u32 = 1;

    fn to_bytes(&self) -> Result<Bytes, CodecError> {
        Ok(self.0.clone())
    }

    fn from_bytes(bytes: Bytes) -> Result<Self, CodecError> {
        Ok(Self(bytes))
    }
}
