//! AWS Data Exports (`bcm-data-exports`).

use std::collections::BTreeMap;

use farthing_engine::error::{Error, Result};
use farthing_engine::port::{
    AccessKey, Execution, ExportDefinition, Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use crate::aws::AwsClients;

pub(super) async fn list(clients: &AwsClients, key: &AccessKey) -> Result<Vec<PresentExport>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn executions(clients: &AwsClients, key: &AccessKey, export_arn: &str) -> Result<Vec<Execution>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn table_columns(
    clients: &AwsClients,
    key: &AccessKey,
    table: &str,
    configuration: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    Err(Error::defect("not built yet"))
}

pub(super) async fn create(clients: &AwsClients, key: &AccessKey, definition: &ExportDefinition) -> Result<String> {
    Err(Error::defect("not built yet"))
}
