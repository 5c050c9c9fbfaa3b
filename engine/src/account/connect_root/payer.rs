//! Reads whose bill the data in a folder is.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;

use crate::error::{Error, ErrorKind, Result};
use crate::format::payer_columns;
use crate::id::{AccountId, BillingPeriod};
use crate::ingest::Importer;
use crate::ingest::delivery::Encoding;
use crate::ingest::pinned::PinnedReader;
use crate::port::{Credential, ExportLocation, ExportSource, ManifestAnswer};

/// The first payer that the files of a period name, and the column that does; of one that is `wanted`, whether they do.
pub(super) async fn read(
    source: &dyn ExportSource,
    importer: &Importer,
    location: &ExportLocation,
    credential: &Credential,
    period: BillingPeriod,
    wanted: Option<AccountId>,
) -> Result<(&'static str, AccountId)> {
    let is_wanted = |id: &str| wanted.is_none_or(|wanted| wanted.as_str() == id);
    let unknown = || match wanted {
        // Anything but the id of an account of AWS has to be what the data says.
        Some(wanted) => wanted
            .check_aws()
            .err()
            .unwrap_or_else(|| Error::defect("an account of AWS is looked for in files")),
        None => Error::new(
            ErrorKind::BrokenDelivery,
            format!("the files of {period} at {} name no payer", location.uri()),
        )
        .with_hint("Give account_id => '<payer>'."),
    };
    let ManifestAnswer::Found(found) = source.fetch_manifest(location, credential, period, None).await? else {
        return Err(unknown());
    };
    let store = source.open(location, credential).await?;
    for key in &found.manifest.files {
        let broken = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorKind::BrokenDelivery,
                format!("{key} cannot be read as Parquet: {error}"),
            )
        };
        if Encoding::of(key) == Encoding::Csv {
            match importer.first_csv_payer(&store, key, wanted).await? {
                Some((column, id)) => return Ok((column, AccountId::delivered(&id)?)),
                None => continue,
            }
        }
        let path = Path::parse(key).map_err(|e| broken(&e))?;
        let head = store.head(&path).await.map_err(|e| broken(&e))?;
        let e_tag = head.e_tag.unwrap_or_default();
        let reader = PinnedReader::new(std::sync::Arc::clone(&store), path, e_tag, head.size);
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(|e| broken(&e))?;
        let Some(payer) = payer_columns().find(|name| builder.schema().field_with_name(name).is_ok()) else {
            continue;
        };
        let place = builder.schema().index_of(payer).map_err(|e| broken(&e))?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), [place]);
        let mut batches = builder.with_projection(mask).build().map_err(|e| broken(&e))?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|e| broken(&e))?;
            let Some(column) = batch.column_by_name(payer) else {
                break;
            };
            let text = cast(column, &DataType::Utf8).map_err(|e| broken(&e))?;
            if let Some(id) = text
                .as_string::<i32>()
                .iter()
                .flatten()
                .find(|id| !id.trim().is_empty() && is_wanted(id))
            {
                return Ok((payer, AccountId::delivered(id)?));
            }
        }
    }
    Err(unknown())
}
