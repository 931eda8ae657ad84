//! The limit on the number of objects of one kind.

use store::{StoreError, StoreResult};

/// Fails if `new` more objects than the `count` existing ones would exceed `max`. Without
/// new objects it succeeds, even if the limit was lowered since.
pub(super) fn require_room(
    count: u32,
    new: usize,
    max: u32,
    objects: &'static str,
) -> StoreResult<()> {
    if new > 0 && count as usize + new > max as usize {
        return Err(StoreError::QuotaExceeded { objects, max });
    }
    Ok(())
}
