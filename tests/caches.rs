//! Caches change how fast an answer comes, and never what it is.
//!
//! Random statements are asked twice of sessions with every cache on and once of sessions with every cache off, by two users
//! who see different accounts, and all of them again after a month was delivered anew and after accounts came and went. That
//! the caches answered is read off `system.caches`. The seed is printed; `FARTHING_CACHE_SEED` replays it, and
//! `FARTHING_CACHE_CASES` asks for more or fewer cases.

use std::collections::BTreeMap;

use farthing_engine::principal::Role;
use farthing_tests::bench::{ADMIN, Bench, Start, grant_of, run, run_with};
use farthing_tests::client::in_process::InProcess;
use farthing_tests::client::{Answer, Client, Param, Refusal, Way};
use farthing_tests::cloud::Sample;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::Rng;

use crate::leak::sql;

const SEED: &str = "FARTHING_CACHE_SEED";
const CASES: &str = "FARTHING_CACHE_CASES";

/// Switches every cache off that is looked at by a statement.
const OFF: [&str; 2] = ["SET farthing.result_cache = off", "SET farthing.plan_cache = off"];

/// Statements whose answers depend on more than their text.
const TELLING: [&str; 8] = [
    "SELECT current_user, current_schema(), count(*), sum(billed_cost) FROM costs",
    "SELECT sub_account_id, sub_account_name, sum(billed_cost) FROM costs GROUP BY 1, 2",
    "SELECT count(*), sum(line_item_unblended_cost::numeric(38, 12)) FROM exports.daily_costs",
    "SELECT date_trunc('day', now()), count(*) FROM costs WHERE charge_period_start < now()",
    "SELECT x_billing_period, count(*) FROM costs WHERE charge_period_start < current_date GROUP BY 1",
    "SELECT max(charge_period_start::timestamptz)::text FROM costs",
    "SELECT rows, account_id FROM system.account_coverage",
    "SELECT count(*) FROM costs_as_of('2030-01-01')",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// One user with every cache on and with every cache off.
struct User {
    name: &'static str,
    cached: InProcess,
    plain: InProcess,
}

impl User {
    async fn of(bench: &Bench, name: &'static str) -> Self {
        let mut plain = bench.site.in_process(name);
        for statement in OFF {
            plain.run(statement).await.unwrap();
        }
        Self {
            name,
            cached: bench.site.in_process(name),
            plain,
        }
    }

    async fn set(&mut self, statement: &str) {
        self.cached.run(statement).await.unwrap();
        self.plain.run(statement).await.unwrap();
    }

    /// What a statement gives; the same thrice.
    async fn ask(&mut self, sql: &str, when: &str) -> Result<Answer, Refusal> {
        let first = self.cached.run(sql).await.map(Answer::sorted);
        let second = self.cached.run(sql).await.map(Answer::sorted);
        let plain = self.plain.run(sql).await.map(Answer::sorted);
        let name = self.name;
        assert_eq!(first, plain, "{name}, {when}, first: {sql}");
        assert_eq!(second, plain, "{name}, {when}, again: {sql}");
        plain
    }
}

/// Hits of each cache since the start.
async fn hits(bench: &Bench) -> BTreeMap<String, u64> {
    let answer = bench.ask("SELECT name, hits FROM system.caches").await;
    let rows = answer.rows.into_iter();
    rows.map(|row| {
        let [name, hits] = row.try_into().unwrap();
        (name.unwrap(), hits.unwrap().parse().unwrap())
    })
    .collect()
}

#[test]
fn caches_never_change_an_answer() {
    let seed = number(SEED).unwrap_or_else(|| rand::rng().random());
    println!("{SEED}={seed}");
    let cases = number(CASES).unwrap_or(8);
    run(Start::AllConnected, async |bench| {
        let linked = bench.cloud.sample.linked();
        let (one, other) = (
            [linked[0].clone(), linked[1].clone()],
            [linked[1].clone(), linked[2].clone()],
        );
        bench.site.put_login("one", Role::Reader, grant_of(&one)).await;
        bench.site.put_login("other", Role::Reader, grant_of(&other)).await;
        let mut users = [User::of(bench, "one").await, User::of(bench, "other").await];
        let statements = statements(bench, &one, cases, seed);
        let before = hits(bench).await;
        let mut former = ask_all(&mut users, &statements, "at first").await;
        let after = hits(bench).await;
        for cache in ["results", "plans"] {
            let gained = after[cache] - before[cache];
            assert!(gained > cases, "{cache}: {gained} hits");
        }
        // Every change shows in some answer, or nothing would be proven.
        for (what, calls) in changes(bench, &linked).await {
            for call in calls {
                bench.ask(&call).await;
            }
            let now = ask_all(&mut users, &statements, what).await;
            assert_ne!(now, former, "{what} changes nothing");
            former = now;
        }
        for user in &mut users {
            user.set("SET TimeZone = 'Asia/Tokyo'").await;
        }
        let now = ask_all(&mut users, &statements, "in another time zone").await;
        assert_ne!(now, former, "the time zone changes nothing");
        for user in &mut users {
            user.set("SET farthing.threads = 3").await;
        }
        ask_all(&mut users, &statements, "in three threads").await;
    });
}

fn statements(bench: &Bench, visible: &[String], cases: u64, seed: u64) -> Vec<String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let random = sql::statement(&sql::Words::of(&bench.cloud, visible));
    let random = (0..cases).map(|_| random.new_tree(&mut runner).unwrap().current());
    random.chain(TELLING.map(str::to_owned)).collect()
}

async fn ask_all(users: &mut [User], statements: &[String], when: &str) -> Vec<Result<Answer, Refusal>> {
    let mut answers = Vec::new();
    for sql in statements {
        for user in users.iter_mut() {
            let answer = user.ask(sql, when).await;
            // The moment itself is no difference.
            if !sql.contains("now()") {
                answers.push(answer);
            }
        }
    }
    answers
}

/// What happens to the costs, and the calls that make it happen. The new delivery lies ready in the bucket.
async fn changes(bench: &Bench, linked: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let newer = Sample::restated(Sample::spec(), "2026-06").await;
    bench.cloud.deliver(&newer, |_| true).await;
    let disconnect = format!("CALL disconnect_aws_account('{}')", linked[1]);
    vec![
        ("after a new delivery", vec!["CALL refresh_export()".to_owned()]),
        ("without an account", vec![disconnect]),
        ("with the account again", vec![bench.cloud.connect_linked(&linked[1])]),
    ]
}

#[test]
fn settings_between_two_statements_are_obeyed() {
    run(Start::AllConnected, async |bench| {
        for way in Way::ALL {
            let mut client = bench.site.client(way, ADMIN).await;
            for _ in 0..2 {
                let sql = "SELECT count(*) FROM daily_costs";
                client.run("SET search_path = exports").await.unwrap();
                let rows = client.run(sql).await.unwrap();
                client.run("SET search_path = public").await.unwrap();
                assert_eq!(client.run(sql).await.unwrap_err().sqlstate, "42P01", "{way:?}");
                assert_eq!(rows.single(), Some("24538"), "{way:?}");
                let schema = "SELECT current_schema(), count(*) FROM costs";
                assert_eq!(client.run(schema).await.unwrap().rows[0][0].as_deref(), Some("public"));
                client.run("SET search_path = system, public").await.unwrap();
                assert_eq!(client.run(schema).await.unwrap().rows[0][0].as_deref(), Some("system"));
            }
        }
    });
}

#[test]
fn values_of_parameters_are_a_part_of_the_question() {
    run(Start::AllConnected, async |bench| {
        let linked = bench.cloud.sample.linked();
        let sql = "SELECT count(*) FROM costs WHERE sub_account_id = $1 AND x_billing_period <> $2";
        for way in [Way::InProcess, Way::PostgresExtended, Way::FlightSql] {
            let mut client = bench.site.client(way, ADMIN).await;
            for _ in 0..2 {
                for account in &linked {
                    for period in ["2026-05", "2026-06"] {
                        let values: [Param; 2] = [account.as_str().into(), period.into()];
                        let bound = client.run_with(sql, &values).await.unwrap();
                        let literal = sql
                            .replace("$1", &format!("'{account}'"))
                            .replace("$2", &format!("'{period}'"));
                        assert_eq!(
                            bound.rows,
                            client.run(&literal).await.unwrap().rows,
                            "{way:?} {literal}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn now_moves_on_between_executions_of_one_plan() {
    run(Start::AllConnected, async |bench| {
        for way in Way::ALL {
            let mut client = bench.site.client(way, ADMIN).await;
            let mut moments = Vec::new();
            for _ in 0..3 {
                let answer = client.run("SELECT now(), count(*) FROM costs").await.unwrap();
                moments.push(answer.rows[0][0].clone().unwrap());
            }
            assert!(moments.windows(2).all(|pair| pair[0] < pair[1]), "{way:?} {moments:?}");
        }
        let day = "SELECT date_trunc('day', now()), count(*) FROM costs";
        let before = hits(bench).await["results"];
        for _ in 0..3 {
            bench.ask(day).await;
        }
        // Three at noon; at midnight at least one less.
        assert!(hits(bench).await["results"] > before, "the day is the same");
    });
}

#[test]
fn switched_off_means_off() {
    run(Start::AllConnected, async |bench| {
        let mut plain = bench.site.admin();
        for statement in OFF {
            plain.run(statement).await.unwrap();
        }
        let caches = "SELECT name, entries, hits, misses FROM system.caches WHERE name IN ('results', 'plans')";
        let before = plain.run(caches).await.unwrap();
        for _ in 0..3 {
            plain.run("SELECT sum(billed_cost) FROM costs").await.unwrap();
        }
        assert_eq!(plain.run(caches).await.unwrap(), before);
    });
    run_with(
        Start::AllConnected,
        |config| {
            config.limits.result_cache_bytes = 0;
            config.limits.plan_cache_entries = 0;
            config.limits.disk_cache_bytes = 0;
        },
        async |bench| {
            for _ in 0..2 {
                bench.ask("SELECT sum(billed_cost) FROM costs").await;
            }
            let answer = bench
                .ask("SELECT name, entries, hits FROM system.caches ORDER BY 1")
                .await;
            let names = answer.column("name");
            assert_eq!(
                names,
                [Some("footers"), Some("plans"), Some("results"), Some("rollups")]
            );
            for at in [1, 2] {
                assert_eq!(answer.rows[at][1..], [Some("0".to_owned()), Some("0".to_owned())]);
            }
            assert!(!bench.site.config.data_dir.join("cache").exists());
        },
    );
}

#[test]
fn ranges_of_a_bucket_are_read_once() {
    const QUESTION: &str = "SELECT service_name, sum(billed_cost) FROM costs GROUP BY 1";
    run(Start::AllConnected, async |bench| {
        let mut client = bench.site.admin();
        for statement in OFF {
            client.run(statement).await.unwrap();
        }
        bench.cloud.sandbox.requests().clear();
        let first = client.run(QUESTION).await.unwrap().sorted();
        assert!(!bench.cloud.data_reads().is_empty());
        bench.cloud.sandbox.requests().clear();
        assert_eq!(client.run(QUESTION).await.unwrap().sorted(), first);
        assert!(bench.cloud.data_reads().is_empty(), "{:?}", bench.cloud.data_reads());
        assert!(hits(bench).await["ranges"] > 0);
        let folder = bench.site.config.data_dir.join("cache");
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            seen += 1;
            private(&path, 0o600);
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.len() == 64 && !name.contains("costs"), "{name}");
        }
        assert!(seen > 3, "{seen} files");
        private(&folder, 0o700);
        // Damage on disk is mended from the bucket.
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xFF;
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(client.run(QUESTION).await.unwrap().sorted(), first);
        assert!(!bench.cloud.data_reads().is_empty());
    });
}

fn private(path: &std::path::Path, wanted: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, wanted, "{}", path.display());
    }
}
