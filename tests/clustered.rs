//! The form of the files changes no answer: random SQL over clustered months gives what it gives over the delivered ones.

use std::sync::Arc;

use chrono::Utc;
use farthing_engine::catalog::Change;
use farthing_engine::derive::cluster::{Clusterer, Layout};
use farthing_engine::history::Ids;
use farthing_engine::ingest::Scratch;
use farthing_engine::session::SessionBuilder;
use farthing_engine::snapshot::Form;
use farthing_engine::store::ExportStores;
use farthing_tests::bench::{Site, on_runtimes};
use farthing_tests::client::Client;
use farthing_tests::cloud::{Cloud, Sample};

use crate::leak::{Kind, compare, seed_and_cases, sql};

/// Several runs, row groups and files for each month.
const SMALL: Layout = Layout {
    run_rows: 3_000,
    run_bytes: usize::MAX,
    group_rows: 1_000,
    page_rows: 200,
    file_rows: 4_000,
};

/// Clusters the months that are `wanted`, and publishes them in place of the delivered ones.
async fn cluster(site: &Site, wanted: impl Fn(&str) -> bool) {
    let catalog = site.node.catalog();
    let stores = ExportStores::new(Arc::clone(site.node.source()), catalog.state_store());
    let folder = site.folder.path();
    let sessions = SessionBuilder::try_new(&site.config.limits, Arc::new(stores), Vec::new(), folder).unwrap();
    let clusterer = Clusterer::new(Arc::new(sessions), Scratch::new(folder.to_owned())).with_layout(SMALL);
    let (lease, ids) = (catalog.lease(), Ids::default());
    for base in lease.snapshots.values().flat_map(|months| months.values()) {
        if !wanted(&base.period.to_string()) {
            continue;
        }
        let id = ids.next(Utc::now()).parse().unwrap();
        let export = &lease.document.exports[&base.export];
        let snapshot = clusterer.clustered(base, &lease, export, id).await.unwrap();
        assert_eq!((snapshot.form, snapshot.rows()), (Form::Clustered, base.rows()));
        catalog.write_snapshot(&snapshot).await.unwrap();
        let change = Change::PutSnapshot {
            export: snapshot.export.clone(),
            period: snapshot.period,
            snapshot: snapshot.id.clone(),
        };
        catalog.publish(&[change]).await.unwrap();
    }
}

fn same_answers(kind: Kind) {
    let (seed, cases) = seed_and_cases();
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered_of(match kind {
            Kind::Cur2 => Sample::shared().await,
            Kind::Legacy => Sample::legacy().await,
            Kind::Focus => Sample::focus().await,
        })
        .await;
        let linked = cloud.sample.linked();
        let visible = [cloud.sample.payer(), linked[1].clone(), linked[3].clone()];
        let mut sites = Vec::new();
        for _ in 0..2 {
            let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
            let mut admin = site.admin();
            admin.run(&cloud.connect_root()).await.unwrap();
            for account in &visible[1..] {
                admin.run(&cloud.connect_linked(account)).await.unwrap();
            }
            sites.push(site);
        }
        let [delivered, clustered] = &sites[..] else {
            unreachable!()
        };
        let statements = || sql::statement(&sql::Words::of(&cloud, &visible));
        // One month of three first: both forms in one statement.
        for (months, cases) in [("2026-05", cases / 2), ("2026-0", cases)] {
            cluster(clustered, |period| period.starts_with(months)).await;
            compare(
                &mut clustered.admin(),
                &mut delivered.admin(),
                statements(),
                cases,
                seed,
            )
            .await;
        }
        let forms = clustered
            .admin()
            .run("SELECT DISTINCT form FROM system.snapshots")
            .await
            .unwrap();
        assert_eq!(forms.text(), "form\nclustered");
        for site in sites {
            site.close().await;
        }
        cloud.sandbox.shutdown().await;
    });
}

#[test]
fn clustered_files_change_no_answer() {
    same_answers(Kind::Cur2);
}

#[test]
fn clustered_files_of_a_legacy_report_change_no_answer() {
    same_answers(Kind::Legacy);
}

#[test]
fn clustered_files_of_a_focus_export_change_no_answer() {
    same_answers(Kind::Focus);
}
