//! The sample in a bucket of AWS on loopback, which counts what is asked of it.

use std::path::PathBuf;

use farthing_sandbox::aws::{AccessKey, Sandbox, SandboxSpec};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use crate::sample::{EXPORT, Sample};
use crate::{Failure, Outcome};

const REGION: &str = "us-east-1";
const USER: &str = "farthing";

/// A sandbox that has the sample.
pub struct Bucket {
    sandbox: Sandbox,
    keys: Vec<(String, AccessKey)>,
    name: String,
}

/// What was read from the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Requests, listings and heads included.
    pub requests: usize,
    /// Of these, requests for the content of data files.
    pub of_data: usize,
    /// Bytes of the answers.
    pub bytes: u64,
}

impl Bucket {
    /// Starts a sandbox over a folder beside the sample's, where the objects are copied to if they are not there yet.
    pub async fn start(sample: &Sample) -> Outcome<Self> {
        let mut folder = sample.folder().as_os_str().to_owned();
        folder.push("-bucket");
        let folder = PathBuf::from(folder);
        let mark = folder.join("whole");
        if !mark.exists() && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let sandbox = Sandbox::start(SandboxSpec::in_directory(&folder)).await?;
        let spec = sample.spec();
        let mut keys = Vec::new();
        for (number, account) in spec.organisation().accounts().enumerate() {
            sandbox.create_account(&account.id, &account.name)?;
            sandbox.create_user(&account.id, USER)?;
            let key = AccessKey {
                access_key_id: format!("AKIAFARTHINGEXAMPL{number:02}"),
                secret_access_key: format!("not-a-real-secret-of-account-{number:02}-0000000"),
            };
            sandbox.register_access_key(&account.id, USER, &key)?;
            keys.push((account.id.clone(), key));
        }
        let name = spec.bucket.clone();
        sandbox.create_bucket(&spec.payer, &name, REGION)?;
        sandbox.put_user_policy(&spec.payer, USER, "read-export", &reader_policy(&name))?;
        let bucket = Self { sandbox, keys, name };
        if !mark.exists() {
            bucket.copy(sample).await?;
            std::fs::write(&mark, "")?;
        }
        Ok(bucket)
    }

    /// Where Farthing finds AWS.
    pub fn endpoint(&self) -> url::Url {
        self.sandbox.endpoint()
    }

    /// `s3://bucket/export`.
    pub fn location(&self) -> String {
        format!("s3://{}/{EXPORT}", self.name)
    }

    /// The arguments of a connection that hold the keys of an account.
    pub fn key_arguments(&self, account: &str) -> Outcome<String> {
        let key = self.keys.iter().find(|(id, _)| id == account);
        let (_, key) = key.ok_or_else(|| Failure::from(format!("the sample has no account {account}")))?;
        Ok(format!(
            "access_key_id => '{}', secret_access_key => '{}'",
            key.access_key_id, key.secret_access_key
        ))
    }

    /// Forgets what was read so far.
    pub fn forget(&self) {
        self.sandbox.requests().clear();
    }

    /// What was read since.
    pub fn reads(&self) -> Reads {
        let s3 = self.sandbox.requests().matching(|record| record.service == "s3");
        let of_data = |key: &Option<String>| key.as_deref().is_some_and(|key| key.contains("/data/"));
        let reads = s3
            .iter()
            .filter(|record| record.operation == "GetObject" && of_data(&record.key));
        Reads {
            requests: s3.len(),
            of_data: reads.count(),
            bytes: s3.iter().map(|record| record.bytes_sent).sum(),
        }
    }

    /// Stops it.
    pub async fn stop(self) {
        self.sandbox.shutdown().await;
    }

    /// Data first and manifests last, as AWS does.
    async fn copy(&self, sample: &Sample) -> Outcome<()> {
        let store = self.sandbox.store(&self.name)?;
        for part in ["data", "metadata"] {
            for file in files(sample.folder().join(EXPORT).join(part))? {
                let key = file.strip_prefix(sample.folder())?.to_string_lossy().into_owned();
                let bytes = std::fs::read(&file)?;
                store.put(&Path::parse(&key)?, PutPayload::from(bytes)).await?;
            }
        }
        Ok(())
    }
}

fn files(folder: PathBuf) -> Outcome<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The least rights with which the export can be read.
fn reader_policy(bucket: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}") },
            { "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/{EXPORT}/*") },
        ],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::TryStreamExt;
    use object_store::{ObjectMeta, ObjectStore};

    use super::*;

    #[tokio::test]
    async fn it_holds_the_sample_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::prepare(folder.path(), 3_000, 2).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let bucket = Bucket::start(&sample).await.unwrap();
            let store = bucket.sandbox.store(&bucket.name).unwrap();
            let objects: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
            seen.push(objects);
            assert_eq!(
                bucket.reads(),
                Reads {
                    requests: 0,
                    of_data: 0,
                    bytes: 0
                }
            );
            assert!(bucket.key_arguments("123456789012").is_err());
            bucket.stop().await;
        }
        let data = seen[0]
            .iter()
            .filter(|object| object.location.as_ref().contains("/data/"));
        let bytes: u64 = data.map(|object| object.size).sum();
        assert_eq!(bytes, sample.size().unwrap().1);
        assert_eq!(seen[0].len(), seen[1].len());
        let same = seen[0].iter().zip(&seen[1]).all(|(one, two)| one.e_tag == two.e_tag);
        assert!(same);
    }
}
