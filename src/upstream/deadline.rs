//! The time limit of the request that a connection carries.
//!
//! The timer is not touched for each request: it may ring for an earlier one, which is noticed and put right.
//! So a connection that is busy sets it once within the limit's time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::time::{Instant, Sleep};

pub(super) struct Deadline {
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) const fn new(now: Instant) -> Self {
        Self { due: now, timer: None }
    }

    /// Begins or moves the limit. `waker` is the connection's own, whatever task moves it, and is woken when
    /// [`Deadline::is_over`] should be asked.
    pub(super) fn set(&mut self, due: Instant, waker: &Waker) {
        self.due = due;
        match &self.timer {
            Some(timer) if !timer.is_elapsed() && timer.deadline() <= due => {}
            _ => self.wind(waker),
        }
    }

    /// Whether the limit has passed.
    pub(super) fn is_over(&mut self, waker: &Waker) -> bool {
        if self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed()) {
            return false;
        }
        if Instant::now() >= self.due {
            return true;
        }
        self.wind(waker);
        false
    }

    fn wind(&mut self, waker: &Waker) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.due)));
        timer.as_mut().reset(self.due);
        if timer.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            // It has passed already: the one who waits must ask.
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn each_request_has_its_whole_limit_and_the_timer_of_an_earlier_one_rings_for_the_last() {
        let limit = Duration::from_millis(60);
        let mut deadline = Deadline::new(Instant::now());
        let mut begin = Instant::now();
        for pause in [25, 25, 70, 0] {
            begin = Instant::now();
            let due = begin + limit;
            poll_fn(|cx| {
                deadline.set(due, cx.waker());
                Poll::Ready(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let over = poll_fn(|cx| if deadline.is_over(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
        tokio::time::timeout(Duration::from_secs(5), over).await.unwrap();
        assert!(begin.elapsed() >= limit, "{:?}", begin.elapsed());
    }
}
