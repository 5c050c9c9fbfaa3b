//! Where deliveries lie: every form of path, and data without manifests.

use super::*;

fn manifest_of(files: &[&str]) -> String {
    serde_json::json!({ "executionId": "x", "dataFiles": files }).to_string()
}

async fn fetched(source: &AwsExportSource, location: &ExportLocation, month: &str) -> Option<DeliveredManifest> {
    match source
        .fetch_manifest(location, &Credential::Absent, period(month), None)
        .await
        .unwrap()
    {
        ManifestAnswer::Found(found) => Some(*found),
        _ => None,
    }
}

/// Every object of a folder, as the listing of a bucket would name them.
fn objects_of(folder: &FilePath, below: &FilePath, found: &mut Vec<ListedObject>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            objects_of(folder, &path, found);
        } else {
            let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push(ListedObject {
                e_tag: Some(format!("tag of {key}")),
                size: fs::metadata(&path).unwrap().len(),
                last_modified: DateTime::from_timestamp(0, 0).unwrap(),
                key,
            });
        }
    }
}

/// One listing of everything names the same manifests as looking for each does.
async fn check_listing(source: &AwsExportSource, folder: &FilePath, location: &ExportLocation, months: &[&str]) {
    let mut objects = Vec::new();
    objects_of(folder, folder, &mut objects);
    let prefix = layout::periods_prefix(location);
    objects.retain(|object| object.key.starts_with(&prefix));
    let listed = places::newest_manifests(location, &objects).await.unwrap().unwrap();
    let listed: Vec<(String, String)> = listed
        .into_iter()
        .map(|(period, manifest)| (period.to_string(), manifest.key))
        .collect();
    let mut asked = Vec::new();
    for month in months {
        let found = fetched(source, location, month).await.unwrap();
        asked.push(((*month).to_owned(), found.key));
    }
    assert_eq!(listed, asked);
}

#[tokio::test]
async fn recommendations_of_a_month_are_those_of_its_newest_day() {
    let folder = TempDir::new().unwrap();
    for day in ["2026-06-29", "2026-06-30", "2026-07-01"] {
        let file = format!("r/data/date={day}/r-00001.snappy.parquet");
        let key = format!("r/metadata/date={day}/r-Manifest.json");
        write(folder.path(), &key, &manifest_of(&[&file]));
    }
    // A day whose delivery is under way has no manifest yet.
    write(folder.path(), "r/metadata/date=2026-07-02/r-create-table.sql", "");
    let source = connector(folder.path()).await.export_source();
    let location = location(folder.path(), "", "r");
    let report = source.probe(&location, &Credential::Absent).await.unwrap();
    assert_eq!(report.periods, [period("2026-06"), period("2026-07")]);
    assert_eq!(report.layout, DeliveryLayout::DataExports);
    for (month, day) in [("2026-06", "2026-06-30"), ("2026-07", "2026-07-01")] {
        let found = fetched(&source, &location, month).await.unwrap();
        assert_eq!(
            found.manifest.files,
            [format!("r/data/date={day}/r-00001.snappy.parquet")]
        );
    }
    check_listing(&source, folder.path(), &location, &["2026-06", "2026-07"]).await;
    // The next day replaces it, wherever the former manifest still lies.
    let key = "r/metadata/date=2026-07-02/r-Manifest.json";
    write(
        folder.path(),
        key,
        &manifest_of(&["r/data/date=2026-07-02/r-00001.snappy.parquet"]),
    );
    assert_eq!(fetched(&source, &location, "2026-07").await.unwrap().key, key);
}

#[tokio::test]
async fn carbon_of_a_month_is_that_of_the_newest_model() {
    for column in ["model_version", "carbon_model_version"] {
        let folder = TempDir::new().unwrap();
        let key =
            |model: &str, month: &str| format!("c/metadata/{column}={model}/usage_period={month}/c-Manifest.json");
        for (model, month) in [
            ("v9.0.0", "2026-01"),
            ("v9.0.0", "2026-02"),
            ("v10.0.0", "2026-02"),
            ("v10.0.0", "2026-03"),
        ] {
            write(folder.path(), &key(model, month), &manifest_of(&[]));
        }
        let source = connector(folder.path()).await.export_source();
        let location = location(folder.path(), "", "c");
        let report = source.probe(&location, &Credential::Absent).await.unwrap();
        let months = ["2026-01", "2026-02", "2026-03"];
        assert_eq!(report.periods, months.map(period));
        for (month, model) in months.into_iter().zip(["v9.0.0", "v10.0.0", "v10.0.0"]) {
            assert_eq!(fetched(&source, &location, month).await.unwrap().key, key(model, month));
        }
        check_listing(&source, folder.path(), &location, &months).await;
    }
}

#[tokio::test]
async fn a_legacy_report_may_lie_in_no_folder_of_its_own() {
    let folder = TempDir::new().unwrap();
    let text = |file: &str| format!("{{\"bucket\": \"elsewhere\", \"reportKeys\": [\"{file}\"]}}");
    write(
        folder.path(),
        "20240101-20240131/mine-Manifest.json",
        &text("20240101-20240131/mine-00001.csv.zip"),
    );
    write(
        folder.path(),
        "20240201-20240301/others-Manifest.json",
        &text("20240201-20240301/others-1.csv.gz"),
    );
    let source = connector(folder.path()).await.export_source();
    let mut location = location(folder.path(), "", "mine");
    let report = source.probe(&location, &Credential::Absent).await.unwrap();
    assert_eq!(report.layout, DeliveryLayout::LegacyReportInPrefix);
    location.layout = report.layout;
    assert!(
        fetched(&source, &location, "2024-02").await.is_none(),
        "another report's month"
    );
    let found = fetched(&source, &location, "2024-01").await.unwrap();
    assert_eq!(found.manifest.files, ["20240101-20240131/mine-00001.csv.zip"]);
    check_listing(&source, folder.path(), &location, &["2024-01"]).await;
}

#[tokio::test]
async fn listings_of_every_layout_name_the_newest_manifests() {
    let folder = exported();
    let execution = "e/metadata/BILLING_PERIOD=2026-07/2026-07-11T16:16:37.516Z-a724c92c/e-Manifest.json";
    write(folder.path(), execution, &manifest_of(&[]));
    let source = connector(folder.path()).await.export_source();
    let here = location(folder.path(), "", "e");
    check_listing(&source, folder.path(), &here, &["2026-06", "2026-07"]).await;

    let folder = TempDir::new().unwrap();
    let text = "{\"bucket\": \"\", \"reportKeys\": []}";
    for key in [
        "p/r/20260501-20260601/r-Manifest.json",
        "p/r/20260501-20260601/20260502T000000Z/r-Manifest.json",
        "p/r/20260501-20260601/r-RedshiftManifest.json",
        "p/r/20260601-20260701/r-Manifest.json",
        "p/r/r/year=2026/month=6/r-Manifest.json",
    ] {
        write(folder.path(), key, text);
    }
    let mut legacy = location(folder.path(), "p", "r");
    legacy.layout = DeliveryLayout::LegacyReport;
    check_listing(&source, folder.path(), &legacy, &["2026-05", "2026-06"]).await;

    let folder = TempDir::new().unwrap();
    for month in ["5", "12"] {
        write(
            folder.path(),
            &format!("p/r/r/year=2026/month={month}/r-Manifest.json"),
            text,
        );
    }
    let mut athena = location(folder.path(), "p", "r");
    athena.layout = DeliveryLayout::LegacyReport;
    check_listing(&source, folder.path(), &athena, &["2026-05", "2026-12"]).await;
}

#[tokio::test]
async fn data_without_manifests_is_found_in_the_folder_of_its_month() {
    for (files, months) in [
        // The data folder alone, as replication rules copy it; other files are no data, and empty ones are no longer any.
        (
            &[
                ("e/data/BILLING_PERIOD=2026-06/e-00001.snappy.parquet", "one"),
                ("e/data/BILLING_PERIOD=2026-06/e-00002.snappy.parquet", "two"),
                ("e/data/BILLING_PERIOD=2026-06/e-00003.snappy.parquet", ""),
                ("e/data/BILLING_PERIOD=2026-06/README.txt", "no data"),
                ("e/data/BILLING_PERIOD=2026-07/e-00001.snappy.parquet", "three"),
            ][..],
            &[
                (
                    "2026-06",
                    &[
                        "e/data/BILLING_PERIOD=2026-06/e-00001.snappy.parquet",
                        "e/data/BILLING_PERIOD=2026-06/e-00002.snappy.parquet",
                    ][..],
                ),
                ("2026-07", &["e/data/BILLING_PERIOD=2026-07/e-00001.snappy.parquet"][..]),
            ][..],
        ),
        // Several deliveries of one month: the one that was written last.
        (
            &[
                ("e/20260601-20260701/20260602T000000Z/e-1.csv.gz", "one"),
                ("e/20260601-20260701/20260603T000000Z/e-1.csv.gz", "two"),
            ][..],
            &[("2026-06", &["e/20260601-20260701/20260603T000000Z/e-1.csv.gz"][..])][..],
        ),
        (
            &[("e/e/year=2026/month=6/e-00001.snappy.parquet", "one")][..],
            &[("2026-06", &["e/e/year=2026/month=6/e-00001.snappy.parquet"][..])][..],
        ),
        (
            &[("e/2026-06/anything.CSV", "one"), ("e/2026-07/notes.md", "")][..],
            &[("2026-06", &["e/2026-06/anything.CSV"][..])][..],
        ),
    ] {
        let folder = TempDir::new().unwrap();
        for (age, (key, text)) in files.iter().enumerate() {
            write(folder.path(), key, text);
            let file = fs::File::options().write(true).open(folder.path().join(key)).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_780_000_000 + age as u64);
            file.set_modified(time).unwrap();
        }
        let source = connector(folder.path()).await.export_source();
        let mut location = location(folder.path(), "", "e");
        let report = source.probe(&location, &Credential::Absent).await.unwrap();
        assert_eq!(report.layout, DeliveryLayout::FilesAlone, "{files:?}");
        let expected: Vec<BillingPeriod> = months.iter().map(|(month, _)| period(month)).collect();
        assert_eq!(report.periods, expected);
        location.layout = report.layout;
        for (month, expected) in months {
            let found = fetched(&source, &location, month).await.unwrap();
            assert_eq!(found.manifest.files, *expected);
            assert!(found.manifest.listed);
            let known = Some(found.e_tag.as_str());
            let again = async || {
                source
                    .fetch_manifest(&location, &Credential::Absent, period(month), known)
                    .await
                    .unwrap()
            };
            assert!(matches!(again().await, ManifestAnswer::Unchanged));
            write(folder.path(), expected[0], "other rows");
            assert!(matches!(again().await, ManifestAnswer::Found(_)));
        }
    }
}

#[tokio::test]
async fn a_manifest_counts_more_than_files_alone() {
    let folder = exported();
    write(
        folder.path(),
        "e/data/BILLING_PERIOD=2026-08/e-00001.snappy.parquet",
        "half a delivery",
    );
    let source = connector(folder.path()).await.export_source();
    let mut location = location(folder.path(), "", "e");
    // Even for what was connected as files alone.
    location.layout = DeliveryLayout::FilesAlone;
    let report = source.probe(&location, &Credential::Absent).await.unwrap();
    assert_eq!(report.layout, DeliveryLayout::DataExports);
    assert_eq!(report.periods, [period("2026-06"), period("2026-07")]);
}
