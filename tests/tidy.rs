//! The house rules that can be checked by reading the sources.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files of the repository whose name ends so, without build output and version control.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "node_modules" | "farthing-data") && !path.is_symlink()
                {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What is wrong, one line for each.
fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let inside = path.strip_prefix(root()).unwrap();
        let is_test = inside.file_name().unwrap() == "tests.rs"
            || inside.components().skip(1).any(|part| part.as_os_str() == "tests");
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if !first.starts_with("//!") && !is_test {
            problems.push(format!("{} does not open with a module comment", path.display()));
        }
        if first.trim_start_matches("//!").split_whitespace().count() < 2 && !is_test {
            problems.push(format!(
                "{}: the module comment says too little: {first}",
                path.display()
            ));
        }
    }
    complain(&problems);
}

#[test]
fn files_stay_short() {
    let long = |path: PathBuf| {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        (lines > 700).then(|| format!("{} has {lines} lines, and the limit is 700", path.display()))
    };
    complain(&files(&[".rs"]).into_iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn modules_are_files_beside_their_folders() {
    let old = files(&["mod.rs"])
        .into_iter()
        .filter(|path| path.file_name().unwrap() == "mod.rs");
    complain(
        &old.map(|path| format!("{} should be named after its module", path.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not complain about itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    complain(&problems);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("pypi.", "org/simple"),
        concat!("index.crates", ".io"),
        concat!("BEGIN RSA ", "PRIVATE KEY"),
    ];
    let endings = [
        ".rs", ".toml", ".md", ".slt", ".py", ".sh", ".txt", ".lock", ".yml", ".yaml", "run", ".sql",
    ];
    let mut problems = Vec::new();
    for path in files(&endings) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    complain(&problems);
}

#[test]
fn sources_are_formatted() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["fmt", "--all", "--check"])
        .current_dir(root())
        .output();
    let output = output.expect("cargo can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("no such command") || said.contains("is not installed") {
        // A toolchain without rustfmt can build Farthing, but not judge its layout.
        eprintln!("rustfmt is not installed: the layout is not checked");
        return;
    }
    let diff = String::from_utf8_lossy(&output.stdout);
    let files: Vec<&str> = diff.lines().filter(|line| line.starts_with("Diff in")).collect();
    assert!(output.status.success(), "run cargo fmt: {said}\n{}", files.join("\n"));
}

#[test]
fn the_readme_names_commands_that_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("cargo test --workspace --locked"), "the test command");
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(
        ci.contains("cargo test --workspace --locked"),
        "CI runs the README's test command"
    );
    let known = ["demo", "serve", "init", "sample", "query", "check", "import"];
    let mut problems = Vec::new();
    for line in readme.lines().map(str::trim) {
        let Some(rest) = line
            .strip_prefix("farthing ")
            .or_else(|| line.strip_prefix("$ farthing "))
        else {
            continue;
        };
        let command = rest.split_whitespace().next().unwrap_or_default();
        if !command.starts_with('-') && !known.contains(&command) {
            problems.push(format!("README.md: {line}: there is no such command"));
        }
    }
    complain(&problems);
}

#[test]
fn procedures_in_the_readme_are_called_as_they_are_defined() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut called = 0;
    let mut problems = Vec::new();
    for part in readme.split("CALL ").skip(1) {
        let name: String = part
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let Some(procedure) = farthing_sql::procedure::procedures()
            .iter()
            .find(|procedure| procedure.name == name)
        else {
            problems.push(format!("README.md: there is no procedure {name}"));
            continue;
        };
        called += 1;
        let arguments = part.split(')').next().unwrap_or_default();
        let mut parts: Vec<&str> = arguments.split("=>").map(str::trim_end).collect();
        parts.pop();
        for before in parts {
            let argument = before
                .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .next()
                .unwrap_or_default();
            if !procedure.parameters.iter().any(|parameter| parameter.name == argument) {
                problems.push(format!("README.md: {name} has no argument {argument}"));
            }
        }
    }
    assert!(called > 0, "the README connects an account");
    complain(&problems);
}
