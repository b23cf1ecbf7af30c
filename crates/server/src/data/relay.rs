//! Passes one request to an agent and its answer back, as it comes.
//!
//! Each invocation has a stream of its own to the agent. Whoever stops listening ends it: when the client goes
//! away the answer's body is dropped, with it the stream, and the agent sees its connection closed.
//!
//! An answer that says how long it is counts from its first byte on: an agent that dies between the head and the
//! body has not answered, and the caller can still be told so. A stream counts from its head on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coracle_supervisor::{AgentConnection, ConnectError};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::body::BoxError;

/// Largest response head of an agent, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines in a response of an agent.
const MAX_HEADERS: usize = 128;

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    /// Its connection broke, or it spoke no HTTP.
    #[error("the agent's connection failed")]
    Broken(#[source] hyper::Error),
    /// It said nothing for too long.
    #[error("the agent did not answer within {0:?}")]
    Silent(Duration),
    /// There was no way to it.
    #[error("the agent could not be reached")]
    Unreachable(#[source] ConnectError),
}

impl RelayError {
    /// Why there was no connection, if that is why there is no answer.
    pub(super) fn unreachable(&self) -> Option<&ConnectError> {
        match self {
            Self::Unreachable(reason) => Some(reason),
            Self::Broken(cause) => ConnectError::behind(cause),
            Self::Silent(_) => None,
        }
    }

    /// Whether it is certain that the agent has not seen the request.
    pub(super) fn nothing_sent(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Broken(_) => matches!(self.unreachable(), Some(ConnectError::Refused(_))),
            Self::Silent(_) => false,
        }
    }
}

/// Sends `request` and waits for the answer to begin. `held` lives as long as the answer's body.
///
/// # Errors
/// When the agent does not answer as HTTP, or not in time.
pub(super) async fn relay<B, T>(
    stream: AgentConnection,
    request: Request<B>,
    head_timeout: Duration,
    stream_timeout: Duration,
    held: T,
) -> Result<Response<RelayedBody<T>>, RelayError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    T: Send + Unpin + 'static,
{
    let started = Instant::now();
    let exchange = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // The error also reaches whoever waits for the answer or reads its body.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an agent's connection broke");
            }
        }));
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        let has_length = body.size_hint().exact().is_some_and(|length| length > 0);
        let first = if has_length {
            body.frame().await.transpose()?
        } else {
            None
        };
        Ok((head, first, body, connection))
    };
    let (head, first, body, connection) = tokio::time::timeout(head_timeout, exchange)
        .await
        .map_err(|_| RelayError::Silent(head_timeout))?
        .map_err(RelayError::Broken)?;
    let body = RelayedBody {
        first,
        body,
        deadline: Box::pin(tokio::time::sleep_until(started + stream_timeout)),
        _connection: connection,
        _held: held,
    };
    Ok(Response::from_parts(head, body))
}

/// The body of an agent's answer. Ends with an error when it takes longer than a stream may.
pub(super) struct RelayedBody<T> {
    /// What has been read of the body ahead of it.
    first: Option<Frame<Bytes>>,
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    _connection: AbortOnDropHandle<()>,
    _held: T,
}

impl<T: Unpin> Body for RelayedBody<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        }
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        Pin::new(&mut this.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self
            .first
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Bytes::len) as u64;
        match self.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(ahead + rest),
            None => SizeHint::default(),
        }
    }
}
