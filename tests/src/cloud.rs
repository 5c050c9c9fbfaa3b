//! AWS as the tests see it: one organisation, its keys, its bucket, and the sample export that is delivered there.
//!
//! The sample is generated once for each process and copied into each test's own bucket, so that a test may break its
//! deliveries without hurting another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use farthing_sandbox::aws::{AccessKey, RequestRecord, Sandbox, SandboxSpec};
use farthing_sandbox::sample::{ControlTotals, ExportForm, SampleSpec, Silent, YearMonth, deliver, deliver_restated};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::OnceCell;

/// The bucket of the export.
pub const BUCKET: &str = "example-corp-billing";
/// The prefix of the export.
pub const PREFIX: &str = "cur/daily";
/// The export's name in AWS.
pub const EXPORT: &str = "daily-costs";
/// The export's table.
pub const TABLE: &str = "exports.daily_costs";
/// The delivered months.
pub const PERIODS: [&str; 3] = ["2026-04", "2026-05", "2026-06"];
/// Linked accounts of the organisation.
pub const LINKED: u32 = 6;

/// A delivered export in memory, with what its rows add up to.
pub struct Sample {
    /// What it was generated from.
    pub spec: SampleSpec,
    /// What its rows add up to.
    pub totals: ControlTotals,
    /// Every object by key, manifests included.
    pub objects: BTreeMap<String, Bytes>,
}

impl Sample {
    /// The specification of every sample of the tests.
    pub fn spec() -> SampleSpec {
        let end = YearMonth::new(2026, 6).unwrap();
        SampleSpec::new(20_260_701, 24_000, 3, end, BUCKET, PREFIX, EXPORT)
            .with_linked_accounts(LINKED)
            .with_rows_per_file(2_500)
            .with_threads(2)
    }

    /// The sample that all tests of this process share.
    pub async fn shared() -> &'static Self {
        static SAMPLE: OnceCell<Sample> = OnceCell::const_new();
        SAMPLE.get_or_init(|| Self::generate(Self::spec())).await
    }

    /// The same costs as a legacy report, at the same place.
    pub async fn legacy() -> &'static Self {
        static SAMPLE: OnceCell<Sample> = OnceCell::const_new();
        let spec = Self::spec().with_form(ExportForm::LegacyParquet);
        SAMPLE.get_or_init(|| Self::generate(spec)).await
    }

    /// The same costs as FOCUS 1.2, at the same place.
    pub async fn focus() -> &'static Self {
        static SAMPLE: OnceCell<Sample> = OnceCell::const_new();
        let spec = Self::spec().with_form(ExportForm::Focus);
        SAMPLE.get_or_init(|| Self::generate(spec)).await
    }

    /// A sample of one's own.
    pub async fn generate(spec: SampleSpec) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let totals = deliver(&spec, Arc::clone(&store), &Silent).await.unwrap();
        Self {
            objects: objects(&store).await,
            spec,
            totals,
        }
    }

    /// A month of the sample that `spec` describes, delivered again with late credits and corrected usage.
    pub async fn restated(spec: SampleSpec, period: &str) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (year, month) = period.split_once('-').unwrap();
        let period = YearMonth::new(year.parse().unwrap(), month.parse().unwrap()).unwrap();
        let totals = deliver_restated(&spec, period, Arc::clone(&store), &Silent)
            .await
            .unwrap();
        Self {
            objects: objects(&store).await,
            spec,
            totals,
        }
    }

    /// The payer's account id.
    pub fn payer(&self) -> String {
        self.spec.payer.clone()
    }

    /// The linked accounts' ids, in the organisation's order.
    pub fn linked(&self) -> Vec<String> {
        self.spec
            .organisation()
            .linked
            .into_iter()
            .map(|account| account.id)
            .collect()
    }

    /// Every account's id, the payer's first.
    pub fn accounts(&self) -> Vec<String> {
        self.spec
            .organisation()
            .accounts()
            .map(|account| account.id.clone())
            .collect()
    }

    /// Keys of the data files of a month, in order.
    pub fn data_keys(&self, period: &str) -> Vec<String> {
        let folder = format!("{PREFIX}/{EXPORT}/data/BILLING_PERIOD={period}/");
        self.objects
            .keys()
            .filter(|key| key.starts_with(&folder))
            .cloned()
            .collect()
    }

    /// Key of the manifest of a month.
    pub fn manifest_key(period: &str) -> String {
        format!("{PREFIX}/{EXPORT}/metadata/BILLING_PERIOD={period}/{EXPORT}-Manifest.json")
    }
}

/// Everything in a store.
pub async fn objects(store: &Arc<dyn ObjectStore>) -> BTreeMap<String, Bytes> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for object in listed {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        found.insert(object.location.to_string(), bytes);
    }
    found
}

/// A running sandbox with the organisation in it.
pub struct Cloud {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The sample that its accounts are those of.
    pub sample: &'static Sample,
    /// The key of one user of each account, by account id. The payer's user may read the export and nothing else; the
    /// others have no rights at all.
    pub keys: BTreeMap<String, AccessKey>,
}

impl Cloud {
    /// The organisation with an empty bucket.
    pub async fn empty() -> Self {
        Self::empty_for(Sample::shared().await).await
    }

    /// The same for another sample of the same organisation.
    pub async fn empty_for(sample: &'static Sample) -> Self {
        let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
        let mut keys = BTreeMap::new();
        for (number, account) in sample.spec.organisation().accounts().enumerate() {
            sandbox.create_account(&account.id, &account.name).unwrap();
            sandbox.create_user(&account.id, "farthing").unwrap();
            let key = AccessKey {
                access_key_id: format!("AKIAFARTHINGEXAMPL{number:02}"),
                secret_access_key: format!("not-a-real-secret-of-account-{number:02}-0000000"),
            };
            sandbox.register_access_key(&account.id, "farthing", &key).unwrap();
            keys.insert(account.id.clone(), key);
        }
        sandbox.create_bucket(&sample.payer(), BUCKET, "eu-west-1").unwrap();
        let policy = reader_policy();
        sandbox
            .put_user_policy(&sample.payer(), "farthing", "read-export", &policy)
            .unwrap();
        Self { sandbox, sample, keys }
    }

    /// The organisation with its export delivered.
    pub async fn delivered() -> Self {
        Self::delivered_of(Sample::shared().await).await
    }

    /// The same with another sample of the same organisation.
    pub async fn delivered_of(sample: &'static Sample) -> Self {
        let cloud = Self::empty_for(sample).await;
        cloud.deliver(cloud.sample, |_| true).await;
        cloud
    }

    /// Copies the objects of a sample whose keys are `wanted` into the bucket: data first, manifests last, as AWS does.
    pub async fn deliver(&self, sample: &Sample, wanted: impl Fn(&str) -> bool) {
        let store = self.sandbox.store(BUCKET).unwrap();
        for manifests in [false, true] {
            for (key, bytes) in &sample.objects {
                if wanted(key) && key.ends_with("-Manifest.json") == manifests {
                    let path = Path::parse(key).unwrap();
                    store.put(&path, PutPayload::from(bytes.clone())).await.unwrap();
                }
            }
        }
    }

    /// The `access_key_id => ..., secret_access_key => ...` arguments of an account.
    pub fn key_arguments(&self, account: &str) -> String {
        let key = &self.keys[account];
        format!(
            "access_key_id => '{}', secret_access_key => '{}'",
            key.access_key_id, key.secret_access_key
        )
    }

    /// The call that connects the payer.
    pub fn connect_root(&self) -> String {
        let keys = self.key_arguments(&self.sample.payer());
        format!("CALL connect_aws_root(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', {keys})")
    }

    /// The call that connects a linked account.
    pub fn connect_linked(&self, account: &str) -> String {
        format!("CALL connect_aws_linked({})", self.key_arguments(account))
    }

    /// Reads of data files since the log was cleared.
    pub fn data_reads(&self) -> Vec<RequestRecord> {
        let of_data = |record: &RequestRecord| {
            record.operation == "GetObject" && record.key.as_deref().is_some_and(|key| key.contains("/data/"))
        };
        self.sandbox.requests().matching(of_data)
    }
}

/// The least rights with which an export can be read, as the manual gives them.
fn reader_policy() -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{BUCKET}") },
            { "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}/{PREFIX}/{EXPORT}/*") },
        ],
    })
    .to_string()
}
