//! Who asks the S3 side, and whether they may: with a key everything in its account, with credentials of a session what
//! its role allows.
//!
//! The gateway says who the request claims to be from, `s3s` verifies the signature, and [`Access`] puts the two together
//! before anything of the body is read.

use coracle_auth::{AccessKeyId, AuthError, CredentialTable};
use http::Uri;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};
use secrecy::ExposeSecret;

use crate::gateway::Caller;
use crate::roles::Roles;

/// What a role may be allowed here.
pub(crate) const ACTIONS: [&str; 11] = [
    "s3:AbortMultipartUpload",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    DELETE_OBJECT,
    "s3:GetBucketLocation",
    READ_OBJECT,
    READ_VERSION,
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
];
pub(crate) const READ_OBJECT: &str = "s3:GetObject";
pub(crate) const READ_VERSION: &str = "s3:GetObjectVersion";
pub(super) const DELETE_OBJECT: &str = "s3:DeleteObject";

/// Who a request claims to be from.
#[derive(Debug, Clone)]
pub(crate) struct Claimant {
    /// The key that it claims to be signed with.
    pub(crate) access_key: AccessKeyId,
    /// Who has that key, or why nobody does.
    pub(crate) holder: Result<Caller, AuthError>,
}

/// The keys that `s3s` verifies signatures with.
pub(super) struct Keys {
    pub(super) keys: CredentialTable,
    pub(super) roles: Roles,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let unknown = || s3_error!(InvalidAccessKeyId);
        let access_key: AccessKeyId = access_key.parse().map_err(|_| unknown())?;
        if let Some(credential) = self.keys.get(&access_key) {
            return Ok(SecretKey::from(credential.key.secret.expose_secret()));
        }
        // Whether it was ever given out, and still counts, is told by the token that comes with it.
        let secret = self.roles.keys().secret_of(&access_key).ok_or_else(unknown)?;
        Ok(SecretKey::from(secret.expose_secret()))
    }
}

/// Judges requests whose signature is right.
pub(super) struct Access;

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let claimant = context.extensions_mut().remove::<Claimant>();
        // A form can bring a signature of its own, by another key than that which the gateway has looked up.
        let signed_by = context.credentials().map(|credentials| &*credentials.access_key);
        let claimant = claimant.filter(|claimant| Some(claimant.access_key.as_str()) == signed_by);
        let Some(Claimant { holder, .. }) = claimant else {
            return Err(s3_error!(AccessDenied));
        };
        let caller = holder.map_err(|error| not_authentic(&error))?;
        let operation = context.s3_op().name();
        let action = action(operation, context.uri()).ok_or_else(|| s3_error!(NotImplemented))?;
        // Each object that it names is judged once they are known.
        if operation != "DeleteObjects" {
            require_at(&caller, action, context.s3_path())?;
        }
        context.extensions_mut().insert(caller);
        Ok(())
    }
}

/// Who asks; [`Access`] lets nobody through of whom that is not known.
pub(super) fn caller<T>(request: &S3Request<T>) -> S3Result<&Caller> {
    let caller = request.extensions.get();
    caller.ok_or_else(|| s3_error!(AccessDenied))
}

/// Whether the caller's role, if it has one, allows this with an object.
pub(super) fn require_object(caller: &Caller, action: &str, bucket: &str, key: &str) -> S3Result<()> {
    require(caller, action, format!("arn:aws:s3:::{bucket}/{key}"))
}

fn require_at(caller: &Caller, action: &str, path: &S3Path) -> S3Result<()> {
    match path {
        S3Path::Root => require(caller, action, "*".to_owned()),
        S3Path::Bucket { bucket } => require(caller, action, format!("arn:aws:s3:::{bucket}")),
        S3Path::Object { bucket, key } => require_object(caller, action, bucket, key),
    }
}

fn require(caller: &Caller, action: &str, resource: String) -> S3Result<()> {
    let judged = caller.require(action, &[resource]);
    judged.map_err(|error| S3Error::with_message(S3ErrorCode::AccessDenied, error.message().to_owned()))
}

/// The action of IAM that an operation is; none of one that is not here.
fn action(operation: &str, uri: &Uri) -> Option<&'static str> {
    Some(match operation {
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "CreateBucket" => "s3:CreateBucket",
        "DeleteBucket" => "s3:DeleteBucket",
        "DeleteObject" | "DeleteObjects" => DELETE_OBJECT,
        "GetBucketLocation" => "s3:GetBucketLocation",
        "GetObject" | "HeadObject" if names_a_version(uri) => READ_VERSION,
        "GetObject" | "HeadObject" => READ_OBJECT,
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "ListBuckets" => "s3:ListAllMyBuckets",
        "ListParts" => "s3:ListMultipartUploadParts",
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "s3:PutObject",
        _ => return None,
    })
}

fn names_a_version(uri: &Uri) -> bool {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.split('=').next())
        .any(|name| name == "versionId")
}

/// The refusal of a key that nobody has, in S3's words.
fn not_authentic(error: &AuthError) -> S3Error {
    let code = match error {
        AuthError::ExpiredToken => S3ErrorCode::ExpiredToken,
        AuthError::UnknownKey => S3ErrorCode::InvalidToken,
        _ => S3ErrorCode::AccessDenied,
    };
    S3Error::with_message(code, error.to_string())
}
