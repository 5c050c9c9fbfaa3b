//! IAM: the policy simulator, and the user that reads exports.

use std::collections::BTreeMap;

use farthing_engine::error::{Error, Result};
use farthing_engine::port::{
    AccessKey, Execution, ExportDefinition, Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use crate::aws::AwsClients;

pub(super) async fn simulate(
    clients: &AwsClients,
    key: &AccessKey,
    arn: &str,
    actions: &[&str],
    resource: &str,
) -> Result<Vec<Simulated>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create_policy(clients: &AwsClients, key: &AccessKey, name: &str, document: &str) -> Result<String> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create_user(clients: &AwsClients, key: &AccessKey, name: &str) -> Result<()> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn attach_user_policy(
    clients: &AwsClients,
    key: &AccessKey,
    user: &str,
    policy_arn: &str,
) -> Result<()> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create_access_key(clients: &AwsClients, key: &AccessKey, user: &str) -> Result<AccessKey> {
    Err(Error::defect("not built yet"))
}
