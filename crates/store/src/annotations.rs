//! What is attached to a runtime or an endpoint by its ARN (tags, a policy) and gone with it.

use coracle_types::InvocationTarget;

use crate::database::Connection;
use crate::endpoints::require_endpoint;
use crate::runtimes::require_runtime;
use crate::{Owner, StoreError};

/// The resource's ARN as it is stored, if the resource exists.
pub(crate) async fn require_resource(
    connection: &mut Connection,
    resource: &InvocationTarget,
) -> Result<String, StoreError> {
    let runtime = resource.runtime();
    let owner = Owner {
        account: runtime.account.clone(),
        region: runtime.region.clone(),
    };
    require_runtime(connection, &owner, &runtime.runtime).await?;
    match resource {
        InvocationTarget::Runtime(arn) => Ok(arn.to_string()),
        InvocationTarget::Endpoint(arn) => {
            require_endpoint(connection, &runtime.runtime, &arn.endpoint).await?;
            Ok(arn.to_string())
        }
    }
}

/// Removes everything attached to a resource.
pub(crate) async fn delete_annotations(connection: &mut Connection, arn: &str) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM tag WHERE resource_arn = $1",
        "DELETE FROM resource_policy WHERE resource_arn = $1",
    ] {
        sqlx::query(statement).bind(arn).execute(&mut *connection).await?;
    }
    Ok(())
}
