//! Deliveries that other people's AWS accounts and tools have made load unchanged, from a folder and from S3.
//!
//! The expected figures were added up from the files by other programs: Python's `csv` and `decimal` for CSV (each amount
//! rounded half-even to twelve places, as Farthing keeps money), DuckDB for Parquet.

use std::path::{Path, PathBuf};

use farthing_sandbox::aws::{AccessKey, Sandbox, SandboxSpec};
use farthing_tests::bench::{Site, on_runtimes};
use farthing_tests::client::{Answer, Client};

/// One delivery: its bucket, where it lies there, and what its files add up to.
struct Delivery {
    bucket: &'static str,
    prefix: &'static str,
    name: &'static str,
    /// The payer of its rows.
    payer: &'static str,
    /// Period, rows, sum of the billed cost.
    months: &'static [(&'static str, &'static str, &'static str)],
}

const DELIVERIES: [Delivery; 6] = [
    Delivery {
        bucket: "cur-bucket",
        prefix: "legacy-parquet",
        name: "WorkshopCUR",
        payer: "836060457634",
        months: &[
            ("2018-10", "119307", "4064.483131537900"),
            ("2018-11", "124340", "3505.326968126800"),
        ],
    },
    Delivery {
        bucket: "cur-bucket",
        prefix: "legacy-csv",
        name: "anonymous",
        payer: "123412340534",
        months: &[("2023-11", "1281", "1.682308697400")],
    },
    Delivery {
        bucket: "cur-bucket",
        prefix: "legacy-zip",
        name: "anonymous",
        payer: "123412340534",
        months: &[("2023-11", "1281", "1.682308697400")],
    },
    Delivery {
        bucket: "keboola-bucket",
        prefix: "",
        name: "MockTestReport",
        payer: "123456789012",
        months: &[("2024-01", "3", "0.045152000000")],
    },
    Delivery {
        bucket: "export-bucket",
        prefix: "cur2",
        name: "int96-cur2",
        payer: "100000000000",
        months: &[
            ("2025-01", "3000", "165.978614554530"),
            ("2025-02", "3000", "179.816624775740"),
        ],
    },
    Delivery {
        bucket: "export-bucket",
        prefix: "cur2",
        name: "csv-cur2",
        payer: "100000000000",
        months: &[
            ("2025-01", "3000", "165.978614554530"),
            ("2025-02", "3000", "179.816624775740"),
        ],
    },
];

fn samples() -> PathBuf {
    PathBuf::from(env!("FARTHING_SAMPLES_FOLDER"))
}

/// Copies a folder into a bucket, keys as its paths.
async fn upload(sandbox: &Sandbox, bucket: &str, folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                let body = std::fs::read(&path).unwrap();
                sandbox.put_object(bucket, &key, body).await.unwrap();
            }
        }
    }
}

async fn ask(site: &Site, sql: &str) -> Answer {
    match site.admin().run(sql).await {
        Ok(answer) => answer,
        Err(refusal) => panic!("{sql}\n{refusal}"),
    }
}

/// The accounts in the data that are not connected yet.
async fn ignored(site: &Site) -> Vec<String> {
    let sql = "SELECT DISTINCT account_id FROM system.account_coverage WHERE status = 'ignored' ORDER BY 1";
    let found = ask(site, sql).await;
    found
        .column("account_id")
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

const SUMS: &str = "SELECT x_billing_period, count(*), sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 1";

fn expected(delivery: &Delivery) -> Vec<Vec<Option<String>>> {
    let text = |text: &str| Some(text.to_owned());
    let months = delivery.months.iter();
    months
        .map(|(period, rows, cost)| vec![text(period), text(rows), text(cost)])
        .collect()
}

#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn every_delivery_loads_from_a_folder() {
    for delivery in &DELIVERIES {
        on_runtimes(async |runtimes| {
            let site = Site::open(None, runtimes, |_| {}).await;
            let folder = samples().join(delivery.bucket).join(delivery.prefix);
            let location = format!("file://{}", folder.display());
            let connect = match delivery.prefix {
                // The bucket itself is the report's folder.
                "" => format!("CALL connect_aws_root(location => '{location}')"),
                _ => format!(
                    "CALL connect_aws_root(location => '{location}', export_name => '{}')",
                    delivery.name
                ),
            };
            ask(&site, &connect).await;
            for account in ignored(&site).await {
                ask(&site, &format!("CALL connect_aws_linked(account_id => '{account}')")).await;
            }
            let sums = ask(&site, SUMS).await;
            assert_eq!(sums.rows, expected(delivery), "{}/{}", delivery.prefix, delivery.name);
            let payers = ask(&site, "SELECT DISTINCT billing_account_id FROM costs").await;
            assert_eq!(payers.single(), Some(delivery.payer));
            site.close().await;
        });
    }
}

#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn every_delivery_loads_from_s3() {
    for delivery in &DELIVERIES {
        on_runtimes(async |runtimes| {
            let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
            sandbox.create_account(delivery.payer, "payer").unwrap();
            sandbox
                .create_bucket(delivery.payer, delivery.bucket, "eu-central-1")
                .unwrap();
            upload(&sandbox, delivery.bucket, &samples().join(delivery.bucket)).await;
            // AWS wrote them long ago.
            sandbox.advance(std::time::Duration::from_secs(86_400));
            let site = Site::open(Some(sandbox.endpoint()), runtimes, |_| {}).await;
            let key = with_key(&sandbox, delivery.payer, Some(delivery.bucket));
            let connect = format!(
                "CALL connect_aws_root(bucket => '{}', prefix => '{}', export_name => '{}', {key})",
                delivery.bucket, delivery.prefix, delivery.name
            );
            ask(&site, &connect).await;
            for account in ignored(&site).await {
                sandbox.create_account(&account, "linked").unwrap();
                let key = with_key(&sandbox, &account, None);
                ask(&site, &format!("CALL connect_aws_linked({key})")).await;
            }
            let sums = ask(&site, SUMS).await;
            assert_eq!(sums.rows, expected(delivery), "{}/{}", delivery.prefix, delivery.name);
            site.close().await;
            sandbox.shutdown().await;
        });
    }
}

/// Accounts that are not AWS's have no keys. Their bucket is somebody's who has one, and whoever may read it names them.
#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn deliveries_with_other_account_ids_load_from_s3() {
    for (bucket, prefix, name, [rows, billed]) in [
        ("focus-bucket", "focus", "focus-sample", ["1000", "20.520226728990"]),
        ("focus-bucket", "focus", "focus12-synth", ["100", "1157.488823772132"]),
        ("koku-bucket", "", "koku-local", ["13380", "143227.763678187602"]),
    ] {
        on_runtimes(async |runtimes| {
            let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
            let owner = "123456789012";
            sandbox.create_account(owner, "owner").unwrap();
            sandbox.create_bucket(owner, bucket, "eu-central-1").unwrap();
            upload(&sandbox, bucket, &samples().join(bucket)).await;
            sandbox.advance(std::time::Duration::from_secs(86_400));
            let site = Site::open(Some(sandbox.endpoint()), runtimes, |_| {}).await;
            let key = with_key(&sandbox, owner, Some(bucket));
            let connect = format!(
                "CALL connect_aws_root(bucket => '{bucket}', prefix => '{prefix}', export_name => '{name}', {key})"
            );
            ask(&site, &connect).await;
            for account in ignored(&site).await {
                let of_aws = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
                let by = match of_aws {
                    true => {
                        sandbox.create_account(&account, "linked").unwrap();
                        with_key(&sandbox, &account, None)
                    }
                    false => format!("account_id => '{account}'"),
                };
                ask(&site, &format!("CALL connect_aws_linked({by})")).await;
            }
            let sums = ask(&site, "SELECT count(*), sum(billed_cost) FROM costs").await.rows;
            assert_eq!(sums, [[Some(rows.to_owned()), Some(billed.to_owned())]], "{name}");
            // An id that no delivery has proves nothing, and one of AWS's needs its key.
            for account in ["99999999999999", "999999999999"] {
                let connect = format!("CALL connect_aws_linked(account_id => '{account}')");
                assert!(site.admin().run(&connect).await.is_err(), "{account}");
            }
            site.close().await;
            sandbox.shutdown().await;
        });
    }
}

/// A user of the account who may read the bucket, as the arguments of a call.
fn with_key(sandbox: &Sandbox, account: &str, bucket: Option<&str>) -> String {
    sandbox.create_user(account, "farthing").unwrap();
    if let Some(bucket) = bucket {
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}") },
                { "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*") },
            ],
        });
        sandbox
            .put_user_policy(account, "farthing", "read", &policy.to_string())
            .unwrap();
    }
    let AccessKey {
        access_key_id,
        secret_access_key,
    } = sandbox.create_access_key(account, "farthing").unwrap();
    format!("access_key_id => '{access_key_id}', secret_access_key => '{secret_access_key}'")
}

#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn forms_of_the_same_months_give_identical_answers() {
    let questions = [
        "SELECT x_billing_period, sub_account_id, x_line_item_type, count(*), sum(billed_cost), sum(effective_cost), \
         sum(x_amortized_cost), sum(list_cost), sum(x_blended_cost), max(pricing_quantity) FROM costs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT service_name, region_id, charge_category, pricing_category, min(charge_period_start), max(charge_period_end), \
         count(*) FROM costs GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        "SELECT resource_id, count(*), sum(effective_cost) FROM costs GROUP BY 1 ORDER BY 1",
        "SELECT tags, x_cost_categories, x_discounts, billed_cost FROM costs \
         ORDER BY charge_period_start, resource_id, sku_price_id, x_operation, billed_cost, effective_cost LIMIT 2000",
        "SELECT charge_period_start, sku_price_id, x_operation, billed_cost, list_unit_price FROM costs \
         ORDER BY 1, 2, 3, 4, 5 LIMIT 2000",
    ];
    let mut answers: Vec<Vec<Answer>> = Vec::new();
    for name in ["int96-cur2", "csv-cur2"] {
        on_runtimes(async |runtimes| {
            let site = Site::open(None, runtimes, |_| {}).await;
            let folder = samples().join("export-bucket/cur2");
            let location = format!("file://{}", folder.display());
            ask(
                &site,
                &format!("CALL connect_aws_root(location => '{location}', export_name => '{name}')"),
            )
            .await;
            for account in ignored(&site).await {
                ask(&site, &format!("CALL connect_aws_linked(account_id => '{account}')")).await;
            }
            let mut here = Vec::new();
            for question in questions {
                here.push(ask(&site, question).await);
            }
            answers.push(here);
            site.close().await;
        });
    }
    for (place, question) in questions.iter().enumerate() {
        assert!(answers[0][place].rows.len() > 1, "{question}");
        let rows = answers[0][place].rows.iter().zip(&answers[1][place].rows);
        for (one, other) in rows {
            assert_eq!(one, other, "{question}");
        }
        assert_eq!(answers[0][place].rows.len(), answers[1][place].rows.len(), "{question}");
    }
}

#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn a_report_of_2018_keeps_its_tags_and_its_drifting_columns() {
    on_runtimes(async |runtimes| {
        let site = Site::open(None, runtimes, |_| {}).await;
        let folder = samples().join("cur-bucket/legacy-parquet/WorkshopCUR");
        ask(
            &site,
            &format!("CALL connect_aws_root(location => 'file://{}')", folder.display()),
        )
        .await;
        let row = |words: [&str; 3]| words.map(|word| Some(word.to_owned())).to_vec();
        assert_eq!(
            ask(&site, SUMS).await.rows,
            [
                row(["2018-10", "91840", "3993.027326110200"]),
                row(["2018-11", "90809", "3444.841220793100"])
            ],
            "the payer's rows alone"
        );
        ask(&site, "CALL connect_aws_linked(account_id => '011254002932')").await;
        let by_tag = "SELECT tags['user_cost_center'] AS center, count(*), sum(billed_cost) FROM costs \
                      WHERE x_billing_period = '2018-10' AND tags['user_cost_center'] IS NOT NULL GROUP BY 1 ORDER BY 1";
        assert_eq!(
            ask(&site, by_tag).await.rows,
            [
                row(["Cost001", "23424", "174.804905685900"]),
                row(["Cost002", "7190", "149.387398161400"]),
                row(["Cost004", "1134", "5.934350608400"]),
                row(["Cost005", "789", "14.149582000500"]),
                row(["Cost006", "1923", "37.235998229800"])
            ]
        );
        let drift = "SELECT count(DISTINCT product_category) FROM exports.workshopcur WHERE billing_period = '2018-10'";
        assert_eq!(
            ask(&site, drift).await.single(),
            Some("0"),
            "a column that the later month alone has"
        );
        site.close().await;
    });
}

/// Ids that are not those of AWS accounts: FOCUS files of three providers, and a report whose ids have thirteen digits. From a
/// folder, where nobody has to sign in.
#[test]
#[cfg_attr(not(samples), ignore = "there are no sample deliveries")]
fn deliveries_with_other_account_ids_load_whole() {
    for (place, kind, root, [rows, accounts, billed, effective]) in [
        (
            "focus-bucket/focus/focus-sample",
            "focus",
            "1234567890123",
            ["1000", "73", "20.520226728990", "14.976514185860"],
        ),
        (
            "focus-bucket/focus/focus12-synth",
            "focus",
            "100000000001",
            ["100", "4", "1157.488823772132", "403.459218772132"],
        ),
        (
            "koku-bucket/koku-local",
            "cur",
            "6568388779672",
            ["13380", "5", "143227.763678187602", ""],
        ),
    ] {
        on_runtimes(async |runtimes| {
            let site = Site::open(None, runtimes, |_| {}).await;
            let location = format!("file://{}", samples().join(place).display());
            let connect = format!("CALL connect_aws_root(location => '{location}', account_id => '{root}')");
            ask(&site, &connect).await;
            assert_eq!(ask(&site, "SELECT kind FROM system.exports").await.single(), Some(kind));
            for account in ignored(&site).await {
                ask(&site, &format!("CALL connect_aws_linked(account_id => '{account}')")).await;
            }
            let sums =
                "SELECT count(*), count(DISTINCT sub_account_id), sum(billed_cost), sum(effective_cost) FROM costs";
            let mut seen = ask(&site, sums).await.rows.remove(0);
            let mut wanted = vec![rows, accounts, billed, effective];
            if effective.is_empty() {
                seen.pop();
                wanted.pop();
            }
            let wanted: Vec<_> = wanted.into_iter().map(|word| Some(word.to_owned())).collect();
            assert_eq!(seen, wanted, "{place}");
            site.close().await;
        });
    }
}
