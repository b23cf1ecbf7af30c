//! Warm pools: seen, set and removed.

use coracle_supervisor::{PoolInfo, PoolSize, PoolTotals};
use coracle_types::InvocationTarget;
use coracle_wire::Error;
use http::Response;
use serde_json::json;

use super::query::Query;
use super::{OperatorApi, answer};
use crate::control::refusal;
use crate::gateway::body::ResponseBody;
use crate::warm;

impl OperatorApi {
    pub(super) fn pools(&self) -> Response<ResponseBody> {
        let pools: Vec<_> = self.supervisor.pools().iter().map(described).collect();
        let PoolTotals { hits, misses } = self.supervisor.pool_totals();
        answer(&json!({ "pools": pools, "hits": hits, "misses": misses }))
    }

    pub(super) async fn set_pool(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let resource: InvocationTarget = query.required("resource")?;
        let size: PoolSize = query.required("size")?;
        query.no_others()?;
        let tags = [(warm::TAG.to_owned(), size.to_string())].into();
        self.store.tag(&resource, &tags).await.map_err(refusal)?;
        self.changed.wake();
        Ok(answer(&json!({ "size": size.to_string() })))
    }

    pub(super) async fn remove_pool(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let resource: InvocationTarget = query.required("resource")?;
        query.no_others()?;
        let keys = [warm::TAG.to_owned()];
        self.store.untag(&resource, &keys).await.map_err(refusal)?;
        self.changed.wake();
        Ok(answer(&json!({})))
    }
}

fn described(pool: &PoolInfo) -> serde_json::Value {
    json!({
        "runtime": pool.runtime,
        "endpoint": pool.endpoint,
        "version": pool.version,
        "size": pool.size.to_string(),
        "wanted": pool.wanted,
        "ready": pool.ready,
        "starting": pool.starting,
    })
}
