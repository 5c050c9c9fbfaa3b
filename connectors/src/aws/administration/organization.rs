//! AWS Organizations: who pays, and which accounts belong to it.

use std::collections::BTreeMap;

use farthing_engine::error::{Error, Result};
use farthing_engine::port::{
    AccessKey, Execution, ExportDefinition, Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use crate::aws::AwsClients;

pub(super) async fn describe(clients: &AwsClients, key: &AccessKey) -> Result<Option<Organization>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn accounts(clients: &AwsClients, key: &AccessKey) -> Result<Vec<OrganizationAccount>> {
    Err(Error::defect("not built yet"))
}
