//! `refresh_export`: looks for new deliveries now instead of at the next hour.

use super::run::{Run, RunOutcome};
use super::{Caller, Connections};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ExportId;

/// What `refresh_export` is given.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The export by its AWS name or table name; `None` for all.
    pub export: Option<String>,
}

impl Connections {
    /// Imports what AWS delivered since.
    pub async fn refresh(&self, request: &Refresh, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_refresh(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_refresh(&self, request: &Refresh, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let lease = self.catalog.lease();
        let exports: Vec<_> = match &request.export {
            None => lease.document.exports.values().cloned().collect(),
            Some(name) => {
                let id = ExportId::of_export_name(name)?;
                let export = lease.document.exports.get(&id).ok_or_else(|| {
                    Error::new(ErrorKind::Missing, format!("there is no export {name}"))
                        .with_hint("SELECT export_id FROM system.exports lists the connected ones.")
                })?;
                vec![export.clone()]
            }
        };
        if exports.is_empty() {
            return Err(
                Error::new(ErrorKind::Missing, "no export is connected").with_hint("CALL connect_aws_root(...) first.")
            );
        }
        for export in exports {
            self.import(&export, run, caller).await?;
        }
        Ok(())
    }
}
