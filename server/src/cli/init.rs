//! `farthing init`: prepares a data directory, once.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use console::Term;
use farthing_connectors::KeyFileVault;
use farthing_engine::catalog::{Catalog, Change};
use farthing_engine::principal::{Grant, Login, Role};
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};

use super::output::Output;
use super::{ConfigArgs, short_defaults};
use crate::auth::verifier::make_verifier;
use crate::config::Config;
use crate::private_file::{self, Made};
use crate::runtime::Runtimes;
use crate::tls::make_self_signed;
use crate::wiring::{SystemClock, open_state_store};

/// Shorter passwords are refused: one login of a cost database is worth guessing.
const MIN_PASSWORD: usize = 10;

/// Longest password file that is read, in bytes.
const MAX_PASSWORD_FILE: u64 = 4_096;

/// Characters of a generated password; those that look alike are left out. 64 would be even, 54 need a bit more length.
const PASSWORD_LETTERS: &[u8; 54] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ234567";

/// 24 letters out of 54 are 138 bits.
const PASSWORD_LENGTH: usize = 24;

/// Prepare a data directory: folder, master key, certificate, and the first login that may administer.
///
/// What is there already is kept, so it is safe to run again. The master key is what stored AWS keys are encrypted under:
/// keep a copy of it in another place than the data directory.
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Name of the first login.
    #[arg(long, default_value = "admin", value_name = "NAME")]
    admin: String,
    /// File with its password on the first line; `-` is standard input. Without it you are asked at a terminal, and
    /// elsewhere a password is generated and printed once.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Give the login a new password if it exists.
    #[arg(long)]
    replace_password: bool,
    /// Host name or address for which the certificate is made, besides localhost; may be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

/// Where the password of a login comes from.
pub enum PasswordSource {
    /// It is given.
    Given(SecretString),
    /// It is generated, and answered by [`set_up`].
    Generated,
}

/// What [`set_up`] did.
pub struct SetUp {
    /// What was made or kept, each with what it is, in order.
    pub objects: Vec<(Made, String)>,
    /// The generated password, to be shown once.
    pub password: Option<SecretString>,
}

/// Runs the command.
pub fn run(args: &InitArgs, output: &mut Output) -> Result<()> {
    let config = args.config.load(short_defaults(), &[])?;
    let password = ask_password(args, output)?;
    let runtimes = Runtimes::try_new(2)?;
    let done = runtimes.block_on(set_up(
        &config,
        &args.admin,
        password,
        args.replace_password,
        &args.hosts,
    ))?;
    for (made, object) in &done.objects {
        let word = match made {
            Made::Created => "created",
            Made::Kept => "kept   ",
        };
        output.line(format!("{word}  {object}"))?;
    }
    if let Some(password) = &done.password {
        output.line(format!(
            "\nThe password of {} is shown this once:\n\n    {}\n",
            args.admin,
            password.open()
        ))?;
    }
    output.note(format!(
        "Start the server with: farthing serve --data-dir {}",
        config.data_dir.display()
    ));
    Ok(())
}

/// Makes what is missing in the data directory, and touches nothing that is there.
///
/// # Errors
///
/// `State` for folders and files that cannot be made or are open to others; `Duplicate` for a given password where the
/// login exists; `BadValue` for a name or password that cannot be used.
pub async fn set_up(
    config: &Config,
    admin: &str,
    password: PasswordSource,
    replace_password: bool,
    hosts: &[String],
) -> Result<SetUp> {
    check_login_name(admin)?;
    let mut objects = Vec::new();
    let made = private_file::create_folder(&config.data_dir)?;
    objects.push((made, format!("data directory  {}", config.data_dir.display())));
    private_file::create_folder(&config.state_dir())?;
    let store = open_state_store(config)?;
    let key = config.master_key_path();
    let made = made_by_now(&key);
    KeyFileVault::open(Arc::clone(&store), &key).await?;
    objects.push((made, format!("master key      {}", key.display())));
    objects.push(make_certificate(config, hosts)?);
    let catalog = Catalog::open(store, Arc::new(SystemClock)).await?;
    let (made, password) = make_login(&catalog, admin, password, replace_password).await?;
    objects.push((made, format!("login           {admin}")));
    Ok(SetUp { objects, password })
}

/// Whether making the file now would make a new one.
fn made_by_now(path: &Path) -> Made {
    if path.exists() { Made::Kept } else { Made::Created }
}

/// The login with the role `admin`, unless it is there.
pub async fn make_login(
    catalog: &Catalog,
    name: &str,
    password: PasswordSource,
    replace: bool,
) -> Result<(Made, Option<SecretString>)> {
    let present = catalog.lease().document.logins.get(name).cloned();
    if let Some(login) = &present
        && !replace
    {
        if let PasswordSource::Given(_) = password {
            return Err(Error::new(
                ErrorKind::Duplicate,
                format!("the login {name} exists, and its password was not changed"),
            )
            .with_hint("Add --replace-password to give it a new password, or leave --password-file out."));
        }
        if login.role != Role::Admin {
            return Err(Error::new(
                ErrorKind::Duplicate,
                format!("the login {name} exists with the role {}", login.role.as_str()),
            )
            .with_hint("Choose another name with --admin."));
        }
        return Ok((Made::Kept, None));
    }
    let (password, shown) = match password {
        PasswordSource::Given(password) => (password, None),
        PasswordSource::Generated => {
            let password = generate_password()?;
            (password.clone(), Some(password))
        }
    };
    check_password(&password)?;
    let verifier = make_verifier(&password)?;
    let login = match present {
        Some(login) => Login { verifier, ..login },
        None => Login {
            name: name.to_owned(),
            role: Role::Admin,
            grant: Grant::AllConnected,
            verifier,
        },
    };
    catalog.publish(&[Change::PutLogin(login)]).await?;
    Ok((Made::Created, shown))
}

/// A random password.
pub fn generate_password() -> Result<SecretString> {
    let mut text = String::with_capacity(PASSWORD_LENGTH);
    while text.len() < PASSWORD_LENGTH {
        let bytes: [u8; 32] = crate::auth::random_bytes()?;
        // Bytes from 216 on are thrown away: 216 is the last multiple of 54, so that no letter is likelier than another.
        let letters = bytes.iter().filter(|byte| **byte < 216);
        text.extend(letters.map(|byte| char::from(PASSWORD_LETTERS[usize::from(byte % 54)])));
    }
    text.truncate(PASSWORD_LENGTH);
    Ok(SecretString::new(text))
}

/// The pair for listeners that other machines reach; the key first, so that a certificate never lies there without.
fn make_certificate(config: &Config, hosts: &[String]) -> Result<(Made, String)> {
    let (certificate, key) = config.own_certificate();
    let shown = format!(
        "certificate     {} (self-signed) and {}",
        certificate.display(),
        key.display()
    );
    match (certificate.exists(), key.exists()) {
        (true, true) => return Ok((Made::Kept, shown)),
        (true, false) => {
            return Err(Error::new(
                ErrorKind::State,
                format!(
                    "there is a certificate {} without its key {}",
                    certificate.display(),
                    key.display()
                ),
            )
            .with_hint("Put its key there, or remove the certificate and run this again."));
        }
        (false, _) => {}
    }
    // A key without certificate is what an interrupted run leaves: nothing was ever served with it.
    private_file::remove(&key)?;
    let names = ["localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned);
    let (certificate_text, key_text) = make_self_signed(names.chain(hosts.iter().cloned()).collect())?;
    private_file::write_new(&key, key_text.open().as_bytes())?;
    let made = private_file::write_new(&certificate, certificate_text.as_bytes())?;
    Ok((made, shown))
}

fn check_login_name(name: &str) -> Result<()> {
    // 63 bytes are PostgreSQL's longest name.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
    if (1..=63).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BadValue,
        format!("\"{}\" cannot be the name of a login", name.escape_debug()),
    )
    .with_hint("Use 1 to 63 letters, digits, '_', '-', '.' and '@'."))
}

fn check_password(password: &SecretString) -> Result<()> {
    let text = password.open();
    if text.chars().count() >= MIN_PASSWORD && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BadValue,
        format!("the password has fewer than {MIN_PASSWORD} characters, or control characters"),
    )
    .with_hint("Give a longer one, or none to have one generated."))
}

fn ask_password(args: &InitArgs, output: &mut Output) -> Result<PasswordSource> {
    if let Some(path) = &args.password_file {
        return read_password(path).map(PasswordSource::Given);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(PasswordSource::Generated);
    }
    let ask = |output: &mut Output, text: &str| {
        output.note(text);
        let line = Term::stderr().read_secure_line();
        line.map(SecretString::new).map_err(|error| {
            Error::new(
                ErrorKind::State,
                format!("the password cannot be read from the terminal: {error}"),
            )
            .with_hint("Give it with --password-file.")
        })
    };
    let first = ask(
        output,
        &format!("Password for {} (empty: one is generated):", args.admin),
    )?;
    if first.is_empty() {
        return Ok(PasswordSource::Generated);
    }
    let second = ask(output, "The same again:")?;
    if first.open() != second.open() {
        return Err(Error::new(ErrorKind::BadValue, "the two passwords differ").with_hint("Run it again."));
    }
    Ok(PasswordSource::Given(first))
}

/// The first line of a file or of standard input.
fn read_password(path: &Path) -> Result<SecretString> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_PASSWORD_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_PASSWORD_FILE).read_to_string(&mut text))
    };
    read.map_err(|error| private_file::refused("read", path, &error))?;
    Ok(SecretString::new(text.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
