use std::future::Future;

use bytes::Bytes;
use http::Response;

use crate::operation::Modelled;
use crate::{Error, Request, parse, respond};

/// Takes one request through its operation. What differs between operations is generated.
pub(crate) async fn call<O, F>(
    request: &Request<'_>,
    handle: impl FnOnce(O::Input) -> F,
) -> Result<Response<Bytes>, Error>
where
    O: Modelled,
    F: Future<Output = Result<O::Output, Error>>,
{
    let output = handle(parse::<O>(request)?).await?;
    respond::<O>(&output)
}
