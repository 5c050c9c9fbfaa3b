//! `kill -9` at any moment: what was acknowledged is there afterwards, and repeating the call finishes the rest.
//!
//! The parent serves AWS; the child, this same test binary, opens a node and runs set-up calls, and says after each that
//! it was answered. The parent kills it when a planned request arrives at AWS, when the state directory has grown to a
//! planned number of files, or at a random time. The seed of the times is printed; `FARTHING_CRASH_SEED` replays it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farthing_engine::principal::{Grant, Role};
use farthing_sandbox::aws::{Fault, FaultKind};
use farthing_server::runtime::Runtimes;
use farthing_server::wiring::Node;
use farthing_tests::bench::{config, on_runtimes, principal};
use farthing_tests::client::Client;
use farthing_tests::client::in_process::InProcess;
use farthing_tests::cloud::Cloud;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FOLDER: &str = "FARTHING_CRASH_FOLDER";
const ENDPOINT: &str = "FARTHING_CRASH_ENDPOINT";
const CALLS: &str = "FARTHING_CRASH_CALLS";
const SEED: &str = "FARTHING_CRASH_SEED";
/// What the child prints before the number of an answered call.
const ANSWERED: &str = "answered: ";
/// Kills of each kind.
const KILLS: usize = 8;

/// When the child is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Never: it ends by itself.
    Never,
    /// When this request, counted from 0, arrives at AWS.
    Request(u32),
    /// When the data directory holds so many files.
    Files(usize),
    /// After this time.
    After(Duration),
}

/// What one run of the child was like.
struct Outcome {
    answered: usize,
    requests: u32,
    files: usize,
    took: Duration,
    status: ExitStatus,
}

#[test]
fn a_call_killed_at_any_moment_loses_nothing() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return child(PathBuf::from(folder));
    }
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("{SEED}={seed}");
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered().await;
        let (_, whole) = one(&cloud, runtimes, Moment::Never).await;
        assert!(whole.status.success(), "the child fails without being killed");
        assert_eq!(whole.answered, calls(&cloud).len());
        assert!(
            whole.requests > 10 && whole.files > 10,
            "{} requests, {} files",
            whole.requests,
            whole.files
        );
        let mut moments: Vec<Moment> = Vec::new();
        for number in 0..KILLS {
            // The first ones fall before the first call is answered, the last ones before the last.
            moments.push(Moment::Request(whole.requests * number as u32 / KILLS as u32));
            moments.push(Moment::Files(2 + (whole.files - 3) * number / KILLS));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..KILLS {
            moments.push(Moment::After(whole.took.mul_f64(random.random_range(0.1..1.0))));
        }
        let mut in_the_middle = 0;
        for moment in moments {
            let (folder, outcome) = one(&cloud, runtimes, moment).await;
            check(&cloud, runtimes, folder.path(), moment, outcome.answered).await;
            in_the_middle += usize::from(outcome.answered < whole.answered);
        }
        assert!(in_the_middle > KILLS, "{in_the_middle} kills came before the end");
        cloud.sandbox.shutdown().await;
    });
}

/// The calls of the child, in order.
fn calls(cloud: &Cloud) -> Vec<String> {
    let linked = cloud.sample.linked();
    let key = &cloud.keys[&linked[2]];
    vec![
        cloud.connect_root(),
        cloud.connect_linked(&linked[0]),
        cloud.connect_linked(&linked[1]),
        format!(
            "CALL put_secret('third', '{}:{}')",
            key.access_key_id, key.secret_access_key
        ),
        "CALL connect_aws_linked(credential => 'secret:third')".to_owned(),
        format!("CALL disconnect_aws_account('{}')", linked[0]),
        "CALL refresh_export()".to_owned(),
        cloud.connect_linked(&linked[3]),
    ]
}

/// The accounts that are connected after so many calls.
fn connected(cloud: &Cloud, answered: usize) -> Vec<String> {
    let linked = cloud.sample.linked();
    let mut accounts = Vec::new();
    if answered > 0 {
        accounts.push(cloud.sample.payer());
    }
    for (account, from, until) in [(0, 2, 6), (1, 3, 99), (2, 5, 99), (3, 8, 99)] {
        if (from..until).contains(&answered) {
            accounts.push(linked[account].clone());
        }
    }
    accounts.sort();
    accounts
}

fn child(folder: PathBuf) {
    let endpoint = std::env::var(ENDPOINT).unwrap().parse().unwrap();
    let calls = std::fs::read_to_string(std::env::var(CALLS).unwrap()).unwrap();
    on_runtimes(async |runtimes| {
        let node = Node::open(&config(folder, Some(endpoint)), runtimes).await.unwrap();
        let mut admin = InProcess::open(node.frontend(), principal("admin", Role::Admin, Grant::AllConnected));
        for (number, call) in calls.lines().enumerate() {
            admin.run(call).await.unwrap();
            println!("{ANSWERED}{}", number + 1);
            std::io::stdout().flush().unwrap();
        }
    });
}

/// Runs the child in a new folder and kills it at the moment.
async fn one(cloud: &Cloud, runtimes: &Runtimes, moment: Moment) -> (tempfile::TempDir, Outcome) {
    let folder = tempfile::Builder::new().prefix("farthing-crash-").tempdir().unwrap();
    let (data, list) = (folder.path().join("data"), folder.path().join("calls.sql"));
    std::fs::write(&list, calls(cloud).join("\n")).unwrap();
    cloud.sandbox.requests().clear();
    let started = Instant::now();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "crash::a_call_killed_at_any_moment_loses_nothing",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, &data)
        .env(ENDPOINT, cloud.sandbox.endpoint_text())
        .env(CALLS, &list)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = process.stdout.take().unwrap();
    let process = Arc::new(Mutex::new(process));
    let answered = runtimes.io().spawn_blocking(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.filter(|line| line.contains(ANSWERED)).count()
    });
    let fault = plan_kill(cloud, &process, moment);
    let waiting = Arc::clone(&process);
    let watched = data.clone();
    let status = runtimes
        .io()
        .spawn_blocking(move || wait(&waiting, &watched, moment, started))
        .await
        .unwrap();
    let outcome = Outcome {
        answered: answered.await.unwrap(),
        requests: cloud.sandbox.requests().all().len() as u32,
        files: count_files(&data),
        took: started.elapsed(),
        status,
    };
    if let Some(fault) = fault {
        fault.remove();
    }
    (folder, outcome)
}

fn plan_kill(cloud: &Cloud, process: &Arc<Mutex<Child>>, moment: Moment) -> Option<farthing_sandbox::aws::FaultHandle> {
    let Moment::Request(number) = moment else { return None };
    let process = Arc::clone(process);
    let kill = move |_: &farthing_sandbox::aws::RequestRecord| process.lock().unwrap().kill().unwrap();
    Some(
        cloud
            .sandbox
            .inject(Fault::new(FaultKind::Before(Arc::new(kill))).after(number).times(1)),
    )
}

/// Waits for the child's end, and brings it about if it is time.
fn wait(process: &Mutex<Child>, data: &Path, moment: Moment, started: Instant) -> ExitStatus {
    loop {
        let mut process = process.lock().unwrap();
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        let due = match moment {
            Moment::Files(files) => count_files(data) >= files,
            Moment::After(time) => started.elapsed() >= time,
            Moment::Never | Moment::Request(_) => started.elapsed() > Duration::from_secs(120),
        };
        if due {
            process.kill().unwrap();
        }
        drop(process);
        std::thread::sleep(Duration::from_micros(300));
    }
}

fn count_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let of_entry = |path: PathBuf| if path.is_dir() { count_files(&path) } else { 1 };
    entries.filter_map(Result::ok).map(|entry| of_entry(entry.path())).sum()
}

/// What must hold in the folder after `answered` calls were answered.
async fn check(cloud: &Cloud, runtimes: &Runtimes, folder: &Path, moment: Moment, answered: usize) {
    let context = format!("killed at {moment:?} with {answered} calls answered");
    let config = config(folder.join("data"), Some(cloud.sandbox.endpoint()));
    let node = Node::open(&config, runtimes)
        .await
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut admin = InProcess::open(node.frontend(), principal("admin", Role::Admin, Grant::AllConnected));
    let accounts = ask(
        &mut admin,
        &context,
        "SELECT account_id FROM system.accounts ORDER BY 1",
    )
    .await
    .concat();
    let accounts: Vec<String> = accounts.into_iter().flatten().collect();
    let possible = [connected(cloud, answered), connected(cloud, answered + 1)];
    assert!(possible.contains(&accounts), "{context}: {accounts:?} are connected");
    let without = "SELECT count(*) FROM system.accounts WHERE credential = 'none'";
    assert_eq!(
        ask(&mut admin, &context, without).await.concat(),
        [Some("0".to_owned())],
        "{context}"
    );
    let kept = "SELECT count(*) FROM system.accounts a WHERE NOT EXISTS \
                (SELECT 1 FROM system.secrets s WHERE s.used_by_account = a.account_id)";
    assert_eq!(
        ask(&mut admin, &context, kept).await.concat(),
        [Some("0".to_owned())],
        "{context}: an account without a secret"
    );
    let seen = "SELECT count(*), coalesce(sum(x_net_amortized_cost), 0) FROM costs";
    if answered > 0 {
        let sums = cloud.sample.totals.of_accounts(accounts.iter().map(String::as_str));
        let expected = vec![Some(sums.rows.to_string()), Some(sums.net_amortized.to_string())];
        assert_eq!(ask(&mut admin, &context, seen).await, [expected], "{context}");
    }
    // The call that was not answered, and those after it. Repeating a call that was done and not answered is no error, but
    // for a disconnection, which says that nothing is left to do.
    for call in calls(cloud).iter().skip(answered) {
        match admin.run(call).await {
            Ok(_) => {}
            Err(refusal) if call.contains("disconnect") && refusal.sqlstate == "42704" => {}
            Err(refusal) => panic!("{context}: repeated: {call}\n{refusal}"),
        }
    }
    let all = connected(cloud, calls(cloud).len());
    let sums = cloud.sample.totals.of_accounts(all.iter().map(String::as_str));
    let expected = vec![Some(sums.rows.to_string()), Some(sums.net_amortized.to_string())];
    assert_eq!(
        ask(&mut admin, &context, seen).await,
        [expected],
        "{context}, then repeated"
    );
    node.close().await;
}

async fn ask(admin: &mut InProcess, context: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    match admin.run(sql).await {
        Ok(answer) => answer.rows,
        Err(refusal) => panic!("{context}: {sql}\n{refusal}"),
    }
}
