//! Buckets that exports are delivered to: looking, making, securing, and their policy.

use std::collections::BTreeMap;

use farthing_engine::error::{Error, Result};
use farthing_engine::port::{
    AccessKey, Execution, ExportDefinition, Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use crate::aws::AwsClients;

pub(super) async fn look(clients: &AwsClients, key: &AccessKey, name: &str) -> Result<Option<PresentBucket>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create(clients: &AwsClients, key: &AccessKey, name: &str, region: &str) -> Result<()> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn secure(clients: &AwsClients, key: &AccessKey, name: &str, region: &str) -> Result<()> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn put_policy(
    clients: &AwsClients,
    key: &AccessKey,
    name: &str,
    region: &str,
    policy: &str,
) -> Result<()> {
    Err(Error::defect("not built yet"))
}
