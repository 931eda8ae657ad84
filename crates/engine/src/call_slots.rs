//! Limits the concurrent calls of this process. The next slot goes to the waiting
//! user whose last call began longest ago. Of one user's calls, those of the run that
//! began first go first, so that it finishes. A user with hundreds of runs delays
//! another user by one call at most.

use domain::UserId;
use llm::outbound::fair_queue::{CallOrder, FairQueue};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

#[derive(Debug, Default)]
struct State {
    free: u32,
    queue: FairQueue<oneshot::Sender<CallSlot>>,
}

/// The call slots of this process.
#[derive(Clone, Debug)]
pub(super) struct CallSlots {
    state: Arc<Mutex<State>>,
}

/// The permission to make one call. Dropping it passes it on.
#[derive(Debug)]
pub(super) struct CallSlot {
    slots: Option<CallSlots>,
}

impl CallSlots {
    pub(super) fn new(most: u32) -> Self {
        Self { state: Arc::new(Mutex::new(State { free: most, ..State::default() })) }
    }

    pub(super) fn free(&self) -> u32 {
        self.state.lock().free
    }

    /// Waits for a slot. Dropping the future leaves the queue.
    pub(super) async fn acquire(&self, user: UserId, order: CallOrder) -> CallSlot {
        let receiver = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                state.queue.serve(user);
                return CallSlot { slots: Some(self.clone()) };
            }
            let (sender, receiver) = oneshot::channel();
            state.queue.push(user, order, sender);
            receiver
        };
        // The sender is dropped only with its slot, or with the process.
        receiver.await.unwrap_or(CallSlot { slots: None })
    }

    fn give_back(&self) {
        loop {
            let sender = {
                let mut state = self.state.lock();
                let Some(sender) = state.queue.pop(|sender| !sender.is_closed()) else {
                    state.free += 1;
                    return;
                };
                sender
            };
            match sender.send(CallSlot { slots: Some(self.clone()) }) {
                Ok(()) => return,
                // The waiter just left: the slot is passed to the next one.
                Err(mut slot) => slot.slots = None,
            }
        }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn slots_alternate_between_users_in_order() {
        let slots = CallSlots::new(1);
        let first = slots.acquire(user(1), CallOrder::default()).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for who in [1, 1, 1, 1, 2, 3] {
            let (slots, order) = (slots.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let slot = slots.acquire(user(who), CallOrder::default()).await;
                order.lock().push(who);
                drop(slot);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [2, 3, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn dropped_waiter_takes_no_slot() {
        let slots = CallSlots::new(1);
        let held = slots.acquire(user(1), CallOrder::default()).await;
        for who in 2..50 {
            assert!(
                slots.acquire(user(who), CallOrder::default()).now_or_never().is_none(),
                "left at once"
            );
        }
        drop(held);
        let again = slots.acquire(user(9), CallOrder::default()).now_or_never();
        assert!(again.is_some(), "the slot came back");
        assert!(
            slots.acquire(user(9), CallOrder::default()).now_or_never().is_none(),
            "and there is one only"
        );
    }
}
