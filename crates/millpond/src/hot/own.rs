//! The families that Millpond keeps hot besides the mirror's records.

use cache::{CacheBuilder, FamilyError};

/// Handles of the families that Millpond itself registers. Cheap to clone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OwnFamilies {}

impl OwnFamilies {
    /// Registers them all.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when a connector's family could name the same key.
    pub fn register(_builder: &mut CacheBuilder) -> Result<Self, FamilyError> {
        Ok(Self {})
    }
}
