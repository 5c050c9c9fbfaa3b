//! The demo's AWS: accounts, users with keys and least-privilege policies, and the payer's bucket with the sample in it.

use farthing_engine::{Error, ErrorKind, Result};
use farthing_sandbox::aws::{AccessKey, Sandbox, SandboxError, SandboxSpec};
use farthing_sandbox::sample::{Account, deliver};

use super::record::{BUCKET, DemoAccount, PREFIX, Record, Size};
use crate::cli::init::generate_password;
use crate::cli::output::Output;
use crate::cli::progress::RowsBar;
use crate::cli::sample::{present_month, sample_error};
use crate::config::Config;

/// The user in each account whose key Farthing gets.
const USER: &str = "farthing";
const REGION: &str = "us-east-1";

/// Starts the sandbox over the data directory.
pub async fn start(config: &Config) -> Result<Sandbox> {
    let folder = config.data_dir.join("aws");
    Sandbox::start(SandboxSpec::in_directory(folder)).await.map_err(failed)
}

/// Makes the organisation and delivers its export.
pub async fn build(sandbox: &Sandbox, size: &Size, output: &mut Output) -> Result<Record> {
    let spec = size.spec(present_month()?);
    spec.check().map_err(sample_error)?;
    let organisation = spec.organisation();
    let keyed = |account: &Account| -> Result<DemoAccount> {
        sandbox.create_account(&account.id, &account.name).map_err(failed)?;
        sandbox.create_user(&account.id, USER).map_err(failed)?;
        let key = sandbox.create_access_key(&account.id, USER).map_err(failed)?;
        Ok(DemoAccount {
            id: account.id.clone(),
            name: account.name.clone(),
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
        })
    };
    let payer = keyed(&organisation.payer)?;
    let linked = organisation.linked.iter().map(keyed).collect::<Result<Vec<_>>>()?;
    grant(sandbox, &payer.id)?;
    output.note(format!(
        "making the sample organisation: {} rows, {} months to {}",
        spec.rows, spec.months, spec.end
    ));
    let bar = RowsBar::new();
    let store = sandbox.store(BUCKET).map_err(failed)?;
    let totals = deliver(&spec, store, &bar).await;
    bar.finish();
    Ok(Record::new(
        &spec,
        payer,
        linked,
        totals.map_err(sample_error)?,
        &generate_password()?,
    ))
}

/// Tells a sandbox that was started again of the accounts and keys; it finds the bucket and its objects by itself.
pub fn register(sandbox: &Sandbox, record: &Record) -> Result<()> {
    for account in record.accounts() {
        sandbox.create_account(&account.id, &account.name).map_err(failed)?;
        sandbox.create_user(&account.id, USER).map_err(failed)?;
        let key = AccessKey {
            access_key_id: account.access_key_id.clone(),
            secret_access_key: account.secret_access_key.clone(),
        };
        sandbox.register_access_key(&account.id, USER, &key).map_err(failed)?;
    }
    grant(sandbox, &record.payer.id)
}

/// The payer's user may read the export and nothing else. Users of linked accounts need no permission: AWS tells every valid
/// key whose it is.
fn grant(sandbox: &Sandbox, payer: &str) -> Result<()> {
    sandbox.create_bucket(payer, BUCKET, REGION).map_err(failed)?;
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "FindExports",
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": format!("arn:aws:s3:::{BUCKET}"),
            },
            {
                "Sid": "ReadExports",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": format!("arn:aws:s3:::{BUCKET}/{PREFIX}/*"),
            },
        ],
    });
    sandbox
        .put_user_policy(payer, USER, "read-cost-exports", &policy.to_string())
        .map_err(failed)
}

fn failed(error: SandboxError) -> Error {
    let kind = match &error {
        SandboxError::Storage { .. } | SandboxError::Listen { .. } => ErrorKind::State,
        _ => ErrorKind::Defect,
    };
    Error::new(kind, error.to_string())
}
