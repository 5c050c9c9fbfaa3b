//! `kill -9` at any moment: what was acknowledged is there afterwards, and repeating the call finishes the rest.
//!
//! The parent serves AWS; the child, this same test binary, opens a node and runs calls, and says after each that it was
//! answered. The parent kills it when a planned request arrives at AWS, when the state directory has grown to a planned
//! number of files, or at a random time.

mod anywhere;
mod writes;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farthing_engine::principal::{Grant, Role};
use farthing_sandbox::aws::{Fault, FaultHandle, FaultKind};
use farthing_server::runtime::Runtimes;
use farthing_server::wiring::Node;
use farthing_tests::bench::{config, on_runtimes, principal};
use farthing_tests::client::Client;
use farthing_tests::client::in_process::InProcess;
use farthing_tests::cloud::Cloud;

const FOLDER: &str = "FARTHING_CRASH_FOLDER";
const ENDPOINT: &str = "FARTHING_CRASH_ENDPOINT";
const CALLS: &str = "FARTHING_CRASH_CALLS";
/// What the child prints before the number of an answered call.
const ANSWERED: &str = "answered: ";

/// When the child is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Never: it ends by itself.
    Never,
    /// When this request, counted from 0, arrives at AWS; which serves it, although nobody hears the answer.
    Request(u32),
    /// When this request arrives at AWS, which does not serve it.
    Unserved(u32),
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

/// In the child: runs the calls and tells. `false` in the parent.
fn is_child() -> bool {
    let Ok(folder) = std::env::var(FOLDER) else {
        return false;
    };
    let endpoint = std::env::var(ENDPOINT).unwrap().parse().unwrap();
    let calls = std::fs::read_to_string(std::env::var(CALLS).unwrap()).unwrap();
    on_runtimes(async |runtimes| {
        let node = Node::open(&config(folder.into(), Some(endpoint)), runtimes)
            .await
            .unwrap();
        let mut admin = InProcess::open(node.frontend(), principal("admin", Role::Admin, Grant::AllConnected));
        for (number, call) in calls.lines().enumerate() {
            admin.run(call).await.unwrap();
            println!("{ANSWERED}{}", number + 1);
            std::io::stdout().flush().unwrap();
        }
    });
    true
}

/// Runs the child, which is the test of this name, in a new folder, and kills it at the moment.
async fn one(
    test: &str,
    calls: &[String],
    cloud: &Cloud,
    runtimes: &Runtimes,
    moment: Moment,
) -> (tempfile::TempDir, Outcome) {
    let folder = tempfile::Builder::new().prefix("farthing-crash-").tempdir().unwrap();
    let (data, list) = (folder.path().join("data"), folder.path().join("calls.sql"));
    std::fs::write(&list, calls.join("\n")).unwrap();
    cloud.sandbox.requests().clear();
    let started = Instant::now();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
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
    let faults = plan_kill(cloud, &process, moment);
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
    for fault in faults {
        fault.remove();
    }
    (folder, outcome)
}

fn plan_kill(cloud: &Cloud, process: &Arc<Mutex<Child>>, moment: Moment) -> Vec<FaultHandle> {
    let (number, served) = match moment {
        Moment::Request(number) => (number, true),
        Moment::Unserved(number) => (number, false),
        _ => return Vec::new(),
    };
    let process = Arc::clone(process);
    let kill = move |_: &farthing_sandbox::aws::RequestRecord| process.lock().unwrap().kill().unwrap();
    let mut kinds = vec![FaultKind::Before(Arc::new(kill))];
    if !served {
        kinds.push(FaultKind::InternalError);
    }
    let inject = |kind| cloud.sandbox.inject(Fault::new(kind).after(number).times(1));
    kinds.into_iter().map(inject).collect()
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
            Moment::Never | Moment::Request(_) | Moment::Unserved(_) => started.elapsed() > Duration::from_secs(120),
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

async fn ask(admin: &mut InProcess, context: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    match admin.run(sql).await {
        Ok(answer) => answer.rows,
        Err(refusal) => panic!("{context}: {sql}\n{refusal}"),
    }
}
