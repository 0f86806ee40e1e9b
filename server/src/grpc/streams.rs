//! Streams of requests: each message is answered, in order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Response, Status, Streaming};

use super::status;
use crate::service::{Call, Kind, Problem, Result as Done};

pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Groups of answers that may wait for the reader.
const GROUPS_AHEAD: usize = 2;

/// Messages that are answered together, and what comes after them.
struct Group<M> {
    messages: Vec<(Call, M)>,
    /// Whether nothing follows; with a failure, if that is why.
    end: Option<Option<Problem>>,
}

/// Answers the messages of a stream with what `act` makes of them, in order; ends at the first
/// failure.
///
/// What has already arrived is handed to `act` together, at most `together()` messages: who sends
/// many before the first is answered wants them all soon, and one turn for all of them costs less
/// than one each.
pub(super) fn each<M, T, F>(
    call: &Call,
    mut messages: Streaming<M>,
    together: impl Fn() -> usize + Send + 'static,
    act: impl Fn(Vec<(Call, M)>) -> F + Send + 'static,
) -> Response<Answers<T>>
where
    M: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Vec<Done<T>>> + Send,
{
    let (answers, receiver) = mpsc::channel(GROUPS_AHEAD);
    let call = call.clone();
    tokio::spawn(async move {
        loop {
            let Group { messages: group, end } = gather(&call, &mut messages, together()).await;
            let mut answered = if group.is_empty() { Vec::new() } else { act(group).await };
            let mut ended = end.is_some();
            if let Some(failed) = answered.iter().position(Result::is_err) {
                answered.truncate(failed + 1);
                ended = true;
            } else {
                answered.extend(end.flatten().map(Err));
            }
            let group = answered.into_iter().map(|done| done.map_err(|p| status(&p))).collect();
            // The reader is gone if this fails.
            if answers.send(group).await.is_err() || ended {
                return;
            }
        }
    });
    Response::new(Box::pin(Flat { receiver, group: VecDeque::new() }))
}

/// The next message, and those that have arrived behind it.
async fn gather<M>(call: &Call, messages: &mut Streaming<M>, most: usize) -> Group<M> {
    let mut group = Group { messages: Vec::new(), end: None };
    match tokio::time::timeout(call.timeout, messages.next()).await {
        Ok(next) => group.take(call, next),
        Err(_) => {
            let message = "the next message of the stream did not arrive in time";
            group.end = Some(Some(Problem::new(Kind::DeadlineExceeded, message)));
        }
    }
    while group.end.is_none() && group.messages.len() < most {
        let arrived = poll_fn(|cx| Poll::Ready(Pin::new(&mut *messages).poll_next(cx)));
        match arrived.await {
            Poll::Ready(next) => group.take(call, next),
            Poll::Pending => break,
        }
    }
    group
}

impl<M> Group<M> {
    fn take(&mut self, call: &Call, next: Option<Result<M, Status>>) {
        match next {
            Some(Ok(message)) => match call.next_message() {
                Ok(call) => self.messages.push((call, message)),
                Err(problem) => self.end = Some(Some(problem)),
            },
            // The client is told by its own failure, or is gone.
            Some(Err(_)) | None => self.end = Some(None),
        }
    }
}

/// The answers of one group after the other.
struct Flat<T> {
    receiver: mpsc::Receiver<VecDeque<Result<T, Status>>>,
    group: VecDeque<Result<T, Status>>,
}

impl<T> Unpin for Flat<T> {}

impl<T> Stream for Flat<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.group.pop_front() {
                return Poll::Ready(Some(answer));
            }
            match ready!(self.receiver.poll_recv(cx)) {
                Some(group) => self.group = group,
                None => return Poll::Ready(None),
            }
        }
    }
}
