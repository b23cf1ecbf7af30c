//! Who the credentials belong to.

use coracle_types::AccountId;
use http::{HeaderValue, Method, header};
use tokio_util::bytes::Bytes;

use super::{Call, Client, ClientError, Service, xml_elements};

impl Client {
    /// The account of the credentials (`GetCallerIdentity`).
    ///
    /// # Errors
    /// When the service refuses, or answers without an account.
    pub(crate) async fn account_id(&self) -> Result<AccountId, ClientError> {
        let mut call = Call::new(
            Service::Sts,
            Method::POST,
            self.settings.endpoints.value.sts.clone(),
        );
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.headers.insert(header::CONTENT_TYPE, form);
        call.body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
        let answer = self.bytes(call).await?;
        xml_elements(&String::from_utf8_lossy(&answer), "Account")
            .next()
            .and_then(|text| text.parse().ok())
            .ok_or(ClientError::Incomplete("an account id"))
    }
}
