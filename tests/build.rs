//! Tells the tests whether other people's deliveries are there: `FARTHING_SAMPLES`, or `../shared/samples` beside the
//! repository. They are under their own licences and no part of it; without them their tests are ignored, which the test
//! run counts and says.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(samples)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FARTHING_SAMPLES");
    let folder = env::var_os("FARTHING_SAMPLES").map_or_else(
        || {
            let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            PathBuf::from(here).join("../../shared/samples")
        },
        PathBuf::from,
    );
    match folder.canonicalize() {
        Ok(folder) if folder.is_dir() => {
            println!("cargo::rustc-cfg=samples");
            println!("cargo::rustc-env=FARTHING_SAMPLES_FOLDER={}", folder.display());
        }
        _ => {
            println!("cargo::rustc-env=FARTHING_SAMPLES_FOLDER=");
            println!(
                "cargo::warning=there are no sample deliveries at {}: their tests are ignored",
                folder.display()
            );
        }
    }
}
