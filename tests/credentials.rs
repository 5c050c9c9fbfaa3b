//! Credentials of the server's machine: named in SQL, looked up for each use, kept nowhere.

use std::path::Path;

use farthing_connectors::HostEnvironment;
use farthing_engine::principal::{Grant, Role};
use farthing_server::config::Config;
use farthing_server::runtime::Runtimes;
use farthing_server::wiring::Node;
use farthing_tests::bench::{config, on_runtimes, principal};
use farthing_tests::client::in_process::InProcess;
use farthing_tests::client::{Answer, Client};
use farthing_tests::cloud::{BUCKET, Cloud, EXPORT, PERIODS, PREFIX};

const SEEN: &str = "SELECT count(*), coalesce(sum(billed_cost), 0) FROM costs";

/// A machine with a data directory and AWS's configuration file.
struct Machine {
    folder: tempfile::TempDir,
    config: Config,
}

impl Machine {
    fn new(cloud: &Cloud) -> Self {
        let folder = tempfile::Builder::new().prefix("farthing-host-").tempdir().unwrap();
        let mut config = config(folder.path().join("data"), Some(cloud.sandbox.endpoint()));
        let file = folder.path().join("aws-config").display().to_string();
        config.host_environment = HostEnvironment::of([("AWS_CONFIG_FILE", file)]);
        Self { folder, config }
    }

    /// Writes the profile `billing` with the key of an account's user.
    fn write_profile(&self, cloud: &Cloud, account: &str) {
        let key = &cloud.keys[account];
        let text = format!(
            "[profile billing]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            key.access_key_id, key.secret_access_key
        );
        std::fs::write(self.folder.path().join("aws-config"), text).unwrap();
    }

    async fn start(&self, runtimes: &Runtimes) -> (Node, InProcess) {
        let node = Node::open(&self.config, runtimes).await.unwrap();
        let admin = principal("admin", Role::Admin, Grant::AllConnected);
        let client = InProcess::open(node.frontend(), admin);
        (node, client)
    }
}

async fn ask(client: &mut InProcess, sql: &str) -> Answer {
    match client.run(sql).await {
        Ok(answer) => answer,
        Err(refusal) => panic!("{sql}\n{refusal}"),
    }
}

/// Files below a folder that hold this text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_profile_connects_and_imports_after_a_restart_and_lies_nowhere() {
    on_runtimes(async |runtimes| {
        let cloud = Cloud::empty().await;
        let payer = cloud.sample.payer();
        cloud.deliver(cloud.sample, |key| !key.contains(PERIODS[2])).await;
        let machine = Machine::new(&cloud);
        let connect = |credential: &str| {
            format!(
                "CALL connect_aws_root(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', credential => '{credential}')"
            )
        };

        let (node, mut admin) = machine.start(runtimes).await;
        let refused = admin.run(&connect("profile:billing")).await.unwrap_err();
        assert_eq!(refused.sqlstate, "42704", "{refused}");
        assert!(refused.to_string().contains("no profile billing"), "{refused}");
        for (credential, sqlstate) in [("profile:", "22023"), ("chain:sso", "22023"), ("billing", "22023")] {
            let refused = admin.run(&connect(credential)).await.unwrap_err();
            assert_eq!(refused.sqlstate, sqlstate, "{credential}: {refused}");
        }
        machine.write_profile(&cloud, &payer);
        let planned = connect("profile:billing").replace("credential", "dry_run => true, credential");
        ask(&mut admin, &planned).await;
        assert_eq!(
            ask(&mut admin, "SELECT count(*) FROM system.accounts").await.single(),
            Some("0")
        );
        for _ in 0..2 {
            ask(&mut admin, &connect("profile:billing")).await;
        }
        let account = "SELECT credential, access_key FROM system.accounts";
        let shown = [[Some("profile:billing".to_owned()), None]];
        assert_eq!(ask(&mut admin, account).await.rows, shown);
        assert_eq!(
            ask(&mut admin, "SELECT count(*) FROM system.secrets").await.single(),
            Some("0")
        );
        node.close().await;

        cloud.deliver(cloud.sample, |key| key.contains(PERIODS[2])).await;
        let (node, mut admin) = machine.start(runtimes).await;
        assert_eq!(ask(&mut admin, account).await.rows, shown);
        let refreshed = ask(&mut admin, "CALL refresh_export()").await;
        assert_eq!(refreshed.column("status"), [Some("ok")], "{}", refreshed.text());
        let sums = cloud.sample.totals.of_accounts([payer.as_str()]);
        let expected = vec![Some(sums.rows.to_string()), Some(sums.unblended.to_string())];
        assert_eq!(ask(&mut admin, SEEN).await.rows, [expected]);
        let secret = &cloud.keys[&payer].secret_access_key;
        assert_eq!(files_with(&machine.config.data_dir, secret), Vec::<String>::new());

        // Others see that there is one, and not what the machine calls it.
        let mut reader = InProcess::open(node.frontend(), principal("reader", Role::Reader, Grant::AllConnected));
        let kind = "SELECT credential FROM system.accounts";
        assert_eq!(ask(&mut reader, kind).await.single(), Some("ambient"));
        let refused = reader.run(&connect("profile:billing")).await.unwrap_err();
        assert_eq!(refused.sqlstate, "42501", "{refused}");

        // A key takes the place of the profile, and the other way round.
        let update = format!("CALL update_aws_credentials({})", cloud.key_arguments(&payer));
        ask(&mut admin, &update).await;
        assert_eq!(ask(&mut admin, kind).await.single(), Some("access key"));
        ask(
            &mut admin,
            "CALL update_aws_credentials(credential => 'profile:billing')",
        )
        .await;
        assert_eq!(ask(&mut admin, account).await.rows, shown);
        assert_eq!(
            ask(&mut admin, "SELECT count(*) FROM system.secrets").await.single(),
            Some("0")
        );
        node.close().await;
        cloud.sandbox.shutdown().await;
    });
}

#[test]
fn a_root_with_a_profile_assumes_the_roles_of_linked_accounts() {
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered().await;
        let (payer, linked) = (cloud.sample.payer(), cloud.sample.linked());
        let machine = Machine::new(&cloud);
        machine.write_profile(&cloud, &payer);
        let (node, mut admin) = machine.start(runtimes).await;
        let root = format!(
            "CALL connect_aws_root(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', credential => 'profile:billing')"
        );
        ask(&mut admin, &root).await;
        let assume = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]});
        cloud
            .sandbox
            .put_user_policy(&payer, "farthing", "assume", &assume.to_string())
            .unwrap();
        let connect = format!(
            "CALL connect_aws_linked(role_arn => 'arn:aws:iam::{}:role/farthing')",
            linked[0]
        );
        let asked = ask(&mut admin, &connect).await;
        assert_eq!(
            asked.column("status").last(),
            Some(&Some("pending")),
            "{}",
            asked.text()
        );
        let evidence = asked.column("evidence").last().copied().flatten().unwrap_or_default();
        let evidence: serde_json::Value = serde_json::from_str(evidence).unwrap();
        let trust = evidence["trust_policy"].to_string();
        assert!(trust.contains("user/farthing"), "{trust}");
        cloud.sandbox.create_role(&linked[0], "farthing", &trust).unwrap();
        ask(&mut admin, &connect).await;
        let credential = format!(
            "SELECT credential FROM system.accounts WHERE account_id = '{}'",
            linked[0]
        );
        assert_eq!(ask(&mut admin, &credential).await.single(), Some("role"));
        let checked = ask(
            &mut admin,
            &format!("CALL check_aws_access(account_id => '{}')", linked[0]),
        )
        .await;
        assert!(
            checked.text().contains("sts:GetCallerIdentity is allowed"),
            "{}",
            checked.text()
        );
        node.close().await;
        cloud.sandbox.shutdown().await;
    });
}

#[test]
fn a_bucket_with_a_key_of_kms_says_what_it_takes() {
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered().await;
        let payer = cloud.sample.payer();
        let key = format!("arn:aws:kms:eu-west-1:{payer}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
        cloud.sandbox.encrypt_bucket(BUCKET, &key).unwrap();
        let machine = Machine::new(&cloud);
        let (node, mut admin) = machine.start(runtimes).await;
        let refused = admin.run(&cloud.connect_root()).await.unwrap_err();
        assert_eq!(refused.sqlstate, "HV000", "{refused}");
        assert!(
            refused
                .to_string()
                .contains(&format!("AWS refused kms:Decrypt on {key}")),
            "{refused}"
        );
        let policy = format!(
            "SELECT aws_iam_policy(mode => 'read', bucket => '{BUCKET}', prefix => '{PREFIX}', export_name => '{EXPORT}', \
             kms_key => '{key}')"
        );
        let policy = ask(&mut admin, &policy).await;
        let put = |name: &str, policy: &str| {
            cloud.sandbox.put_user_policy(&payer, "farthing", name, policy).unwrap();
        };
        put("read-export", policy.single().unwrap());
        ask(&mut admin, &cloud.connect_root()).await;
        ask(&mut admin, "CALL check_aws_access()").await;
        let decrypt = "SELECT resource, outcome FROM system.permission_checks WHERE action = 'kms:Decrypt'";
        assert_eq!(
            ask(&mut admin, decrypt).await.rows,
            [[Some(key.clone()), Some("allowed".to_owned())]]
        );
        // Without the key's statement: reading is allowed by S3, and refused by KMS.
        let mut without: serde_json::Value = serde_json::from_str(policy.single().unwrap()).unwrap();
        without["Statement"]
            .as_array_mut()
            .unwrap()
            .retain(|statement| statement["Action"] != "kms:Decrypt");
        put("read-export", &without.to_string());
        ask(&mut admin, "CALL check_aws_access()").await;
        let outcome = "SELECT action, outcome FROM system.permission_checks \
                       WHERE action IN ('kms:Decrypt', 's3:GetObject', 's3:ListBucket') ORDER BY 1";
        let row = |action: &str, outcome: &str| vec![Some(action.to_owned()), Some(outcome.to_owned())];
        assert_eq!(
            ask(&mut admin, outcome).await.rows,
            [
                row("kms:Decrypt", "denied"),
                row("s3:GetObject", "allowed"),
                row("s3:ListBucket", "allowed")
            ]
        );
        node.close().await;
        cloud.sandbox.shutdown().await;
    });
}
