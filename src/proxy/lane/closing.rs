//! When connections are to end: those without a request, and those of HTTP/2 with the streams that they have.
//!
//! Each is asked between any two requests, and there is hardly ever news. Then nothing is locked, and who waits is not
//! noted again.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;

/// The word that ends a connection.
pub(super) struct Closing {
    news: watch::Receiver<bool>,
    said: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whom the word wakes.
    wakes: Option<Waker>,
}

impl Closing {
    pub(super) fn new(closing: watch::Receiver<bool>) -> Self {
        Closing { said: Box::pin(said(closing.clone())), news: closing, wakes: None }
    }

    /// Ready once the word has been said.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_noted = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_noted && matches!(self.news.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        // A task that has used up its turn is not noted.
        let is_asked = has_budget_remaining();
        let said = self.said.as_mut().poll(cx);
        self.wakes = is_asked.then(|| cx.waker().clone());
        said
    }
}

async fn said(mut closing: watch::Receiver<bool>) {
    // Nobody is left to say so when the process has ended.
    let _ = closing.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn the_word_is_heard_however_often_it_was_asked_for() {
        let (sender, receiver) = watch::channel(false);
        let mut closing = Closing::new(receiver);
        for _ in 0..3 {
            assert!(poll_fn(|cx| Poll::Ready(closing.poll(cx))).await.is_pending());
        }
        let say = async {
            sleep(Duration::from_millis(1)).await;
            sender.send_replace(true);
            std::future::pending::<()>().await;
        };
        let heard = poll_fn(|cx| closing.poll(cx));
        let both = async {
            tokio::select! { () = heard => {}, () = say => {} }
        };
        timeout(Duration::from_secs(60), both).await.expect("it is heard");
    }

    #[tokio::test]
    async fn it_is_said_where_nobody_is_left_to_say_it() {
        let (sender, receiver) = watch::channel(false);
        let mut closing = Closing::new(receiver);
        assert!(poll_fn(|cx| Poll::Ready(closing.poll(cx))).await.is_pending());
        drop(sender);
        poll_fn(|cx| closing.poll(cx)).await;
    }
}
