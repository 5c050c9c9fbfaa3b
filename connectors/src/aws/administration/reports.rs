//! The legacy Cost and Usage Report (`cur`), which us-east-1 alone serves.

use std::collections::BTreeMap;

use farthing_engine::error::{Error, Result};
use farthing_engine::port::{
    AccessKey, Execution, ExportDefinition, Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use crate::aws::AwsClients;

pub(super) async fn list(clients: &AwsClients, key: &AccessKey) -> Result<Vec<PresentExport>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create(clients: &AwsClients, key: &AccessKey, definition: &ExportDefinition) -> Result<String> {
    Err(Error::defect("not built yet"))
}
