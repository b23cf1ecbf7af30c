//! The accept loop: bounded connections, bounded time for request heads, graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coracle_egress::Link;
use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::ResponseBody;

/// How long a client may take to begin TLS and to send a request head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest request head, in bytes. Query form signatures and session tokens are what is long in one.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines in a request.
const MAX_HEADERS: usize = 128;

/// A place among the connections that may be open at once. What outlives its connection's last answer keeps it.
#[derive(Debug, Clone)]
pub struct ConnectionSlot(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Among the extensions of a request, says that it comes from a sandbox through its own network.
#[derive(Debug, Clone, Copy)]
pub struct FromSandbox;

/// Where connections come from, and how they begin.
pub struct Entrance {
    /// Accepts them.
    pub listener: TcpListener,
    /// What begins TLS on them; without it they are plain.
    pub tls: Option<TlsAcceptor>,
}

impl Entrance {
    fn scheme(&self) -> Scheme {
        if self.tls.is_some() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }
}

/// Accepts until `stop` is cancelled, then waits until every connection has finished its request. The
/// caller bounds that wait. Dropping the future tells every connection to finish, too. Each request has the
/// [`Scheme`] it came by among its extensions.
pub async fn serve<H, F>(entrance: Entrance, slots: Arc<Semaphore>, stop: CancellationToken, handler: H)
where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let scheme = entrance.scheme();
    let Entrance { listener, tls } = entrance;
    admit(
        slots,
        stop.clone(),
        async move || accept(&listener).await,
        |(stream, peer), slot| {
            let connection = Connection {
                peer,
                slot,
                scheme: scheme.clone(),
                stop: stop.clone(),
            };
            connection.begin(stream, tls.clone(), handler.clone())
        },
    )
    .await;
}

/// As [`serve`], for connections of sandboxes, which are already there. Their slots are not those of other clients, so that
/// no sandbox can take these all.
pub async fn serve_sandboxes<H, F>(
    mut from_sandboxes: mpsc::Receiver<DuplexStream>,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    handler: H,
) where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    admit(
        slots,
        stop.clone(),
        async move || match from_sandboxes.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        },
        |stream, slot| {
            let connection = Connection {
                peer: SocketAddr::from((Link::GUEST, 0)),
                slot,
                scheme: Scheme::HTTP,
                stop: stop.clone(),
            };
            let handler = handler.clone();
            connection.serve(stream, move |peer, mut request: Request<Incoming>| {
                request.extensions_mut().insert(FromSandbox);
                handler(peer, request)
            })
        },
    )
    .await;
}

/// Begins what comes, each once it has a slot, until `stop` is cancelled; then waits until all that has begun has ended.
async fn admit<T, B>(
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    mut next: impl AsyncFnMut() -> T,
    mut begin: impl FnMut(T, ConnectionSlot) -> B,
) where
    B: Future<Output = ()> + Send + 'static,
{
    let tasks = TaskTracker::new();
    let _stop_on_drop = stop.clone().drop_guard();
    loop {
        let slot = tokio::select! {
            Ok(slot) = slots.clone().acquire_owned() => ConnectionSlot(Arc::new(slot)),
            () = stop.cancelled() => break,
        };
        let came = tokio::select! {
            came = next() => came,
            () = stop.cancelled() => break,
        };
        tasks.spawn(begin(came, slot));
    }
    // Nothing more is accepted while the rest ends.
    drop(next);
    tasks.close();
    tasks.wait().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Out of descriptors, most likely: let some connections end rather than spin.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection.
struct Connection {
    peer: SocketAddr,
    slot: ConnectionSlot,
    scheme: Scheme,
    stop: CancellationToken,
}

impl Connection {
    async fn begin<H, F>(self, stream: TcpStream, tls: Option<TlsAcceptor>, handler: H)
    where
        H: Fn(SocketAddr, Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let peer = self.peer;
        // Streamed tokens are small and must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection went away at once");
            return;
        }
        let Some(tls) = tls else {
            return self.serve(stream, handler).await;
        };
        match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, handler).await,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a client does not speak TLS as this server does");
            }
            Err(_) => tracing::debug!(%peer, "a client did not begin TLS in time"),
        }
    }

    async fn serve<S, H, F>(self, stream: S, handler: H)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(SocketAddr, Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let Self {
            peer,
            slot,
            scheme,
            stop,
        } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(slot.clone());
            request.extensions_mut().insert(scheme.clone());
            let answer = handler(peer, request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }
}
