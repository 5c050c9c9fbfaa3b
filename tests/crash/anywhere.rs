//! A list of calls that is killed at moments spread over all of it, and at random ones. The seed is printed;
//! `FARTHING_CRASH_SEED` replays it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const SEED: &str = "FARTHING_CRASH_SEED";
/// Kills of each kind.
const KILLS: usize = 8;
/// The name of the test.
const TEST: &str = "crash::anywhere::a_call_killed_at_any_moment_loses_nothing";

#[test]
fn a_call_killed_at_any_moment_loses_nothing() {
    if is_child() {
        return;
    }
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("{SEED}={seed}");
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered().await;
        let (_, whole) = one(TEST, &calls(&cloud), &cloud, runtimes, Moment::Never).await;
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
            let (folder, outcome) = one(TEST, &calls(&cloud), &cloud, runtimes, moment).await;
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
