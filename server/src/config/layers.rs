//! The layers of the configuration, and which one a value came from.

use std::path::{Path, PathBuf};

use farthing_engine::port::AccessKey;
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::given::Given;
use super::keys::{KEYS, Key};
use super::{Config, FILE_NAME};

const PREFIX: &str = "FARTHING_";

/// Variables with these beginnings are not settings: they are what `farthing demo` writes into `demo.env`, and what tests
/// and benches read.
const OTHER_PREFIXES: [&str; 3] = ["FARTHING_DEMO_", "FARTHING_TEST_", "FARTHING_BENCH_"];

/// Names the configuration file; not a setting itself.
const FILE_VARIABLE: &str = "FARTHING_CONFIG";

/// What a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that was named on the command line.
    pub file: Option<PathBuf>,
    /// Environment variables: all of them, or those of a test.
    pub environment: Vec<(String, String)>,
    /// Command line options: the option as it is typed, the key it sets, the value.
    pub options: Vec<(&'static str, &'static str, String)>,
}

/// The environment of this process. Variables that are not text are left out.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A variable of this process; `None` if it is unset, empty or not text.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is the one that reads the environment"
)]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The access key in the variables that AWS's own tools read (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`), or `None` if the first two are not both there.
pub fn aws_environment() -> Option<AccessKey> {
    Some(AccessKey {
        access_key_id: variable("AWS_ACCESS_KEY_ID")?,
        secret_access_key: SecretString::new(variable("AWS_SECRET_ACCESS_KEY")?),
        session_token: variable("AWS_SESSION_TOKEN").map(SecretString::new),
    })
}

impl Config {
    /// The configuration from all layers over `defaults`.
    ///
    /// # Errors
    ///
    /// `BadValue` for a file that cannot be read or is not TOML, a key that does not exist, a value of the wrong form, and
    /// a TLS certificate without its key or the other way round. Each says which key, and where it was given.
    pub fn load(sources: &Sources, defaults: Config) -> Result<Config> {
        let over = Figment::new()
            .merge(environment_layer(sources)?)
            .merge(options_layer(sources));
        let mut config = defaults;
        // The data directory decides which file is read, so it is looked for in the layers above the file first.
        apply(&over, &["data_dir"], &mut config)?;
        let named = sources.file.clone().or_else(|| {
            let variable = sources.environment.iter().find(|(name, _)| name == FILE_VARIABLE);
            variable
                .filter(|(_, path)| !path.is_empty())
                .map(|(_, path)| PathBuf::from(path))
        });
        let found = named.is_none();
        let file = named.unwrap_or_else(|| config.data_dir.join(FILE_NAME));
        let mut layers = Figment::new();
        if !found || file.exists() {
            layers = layers.merge(Toml::file_exact(&file));
            check_file(&layers, &file, found)?;
            config.file = Some(file);
        }
        let layers = layers.merge(over);
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        apply(&layers, &names, &mut config)?;
        if config.tls_certificate.is_some() != config.tls_key.is_some() {
            return Err(Error::new(
                ErrorKind::BadValue,
                "tls_certificate and tls_key belong together, and one of them is missing",
            )
            .with_hint("Give both, or neither."));
        }
        Ok(config)
    }
}

/// Reads the values of the keys `names` into the configuration.
fn apply(layers: &Figment, names: &[&str], config: &mut Config) -> Result<()> {
    for key in KEYS.iter().filter(|key| names.contains(&key.name)) {
        let Ok(value) = layers.find_value(key.name) else {
            continue;
        };
        let metadata = layers.get_metadata(value.tag());
        let file = metadata.and_then(|metadata| metadata.source.as_ref()?.file_path());
        let base = file.and_then(Path::parent);
        let given = Given {
            key: key.name,
            value: &value,
            origin: &origin(metadata),
            base: base.map(Path::to_owned),
        };
        (key.set)(config, &given)?;
    }
    Ok(())
}

fn origin(metadata: Option<&Metadata>) -> String {
    let Some(metadata) = metadata else {
        return "given".to_owned();
    };
    match &metadata.source {
        Some(Source::File(path)) => format!("in {}", path.display()),
        _ => metadata.name.to_string(),
    }
}

/// The file must be readable TOML without unknown keys.
fn check_file(layers: &Figment, file: &Path, found_in_data_dir: bool) -> Result<()> {
    let read: Dict = layers.extract().map_err(|error| {
        Error::new(
            ErrorKind::BadValue,
            format!("the configuration file {} cannot be read: {error}", file.display()),
        )
        .with_hint("`farthing check --print-config` shows all keys in the right form.")
    })?;
    for name in read.keys() {
        if find_key(name).is_none() {
            return Err(unknown(name, &format!("in {}", file.display()), |key| {
                key.name.to_owned()
            }));
        }
    }
    if found_in_data_dir && read.contains_key("data_dir") {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!(
                "data_dir (in {}) is set in the file that is found through it",
                file.display()
            ),
        )
        .with_hint("Give the data directory with --data-dir or FARTHING_DATA_DIR, or name the file with --config."));
    }
    Ok(())
}

fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn unknown(name: &str, origin: &str, shown: fn(&Key) -> String) -> Error {
    let plain = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let nearest = KEYS
        .iter()
        .map(|key| (strsim::jaro_winkler(&plain, key.name), key))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let all = "`farthing check --print-config` shows all keys.";
    let hint = match nearest {
        Some((likeness, key)) if likeness > 0.7 => format!("The nearest key is {}. {all}", shown(key)),
        _ => all.to_owned(),
    };
    Error::new(ErrorKind::BadValue, format!("{name} ({origin}) is not a setting")).with_hint(hint)
}

/// Some values, each with a name for where it came from.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn environment_layer(sources: &Sources) -> Result<Layer> {
    let mut values = Dict::new();
    for (name, value) in &sources.environment {
        let other = name == FILE_VARIABLE || OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let Some(key) = name.strip_prefix(PREFIX).filter(|_| !other) else {
            continue;
        };
        let Some(key) = find_key(&key.to_ascii_lowercase()) else {
            return Err(unknown(name, "in the environment", |key| {
                format!("{PREFIX}{}", key.name.to_ascii_uppercase())
            }));
        };
        // An empty variable is how many tools unset one.
        if !value.is_empty() {
            values.insert(key.name.to_owned(), Value::from(value.as_str()));
        }
    }
    Ok(Layer {
        name: "in the environment",
        values,
    })
}

fn options_layer(sources: &Sources) -> Layer {
    let options = sources.options.iter();
    Layer {
        name: "on the command line",
        values: options
            .map(|(_, key, value)| ((*key).to_owned(), Value::from(value.as_str())))
            .collect(),
    }
}
