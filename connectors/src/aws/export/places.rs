//! Where the manifests of a location's periods lie.

use std::collections::BTreeMap;

use async_trait::async_trait;
use farthing_engine::error::Result;
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{DeliveryLayout, ExportLocation, ListedManifest};

use super::layout::{self, Partition};
use super::{DeliveryRoot, ListedObject};

/// The folders of each period, the one to look into first at the front.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) folders: BTreeMap<BillingPeriod, Vec<String>>,
    /// Whether a new delivery comes in a new folder, so that where a manifest was says nothing of where the newest is.
    pub(super) moving: bool,
}

/// What a listing of folders says.
fn arrange(location: &ExportLocation, mut listed: Vec<String>) -> (Places, Vec<String>) {
    // Newest first.
    listed.sort_unstable_by(|one, other| other.cmp(one));
    let mut months = Places::default();
    let mut days = Places {
        moving: true,
        ..Places::default()
    };
    let mut models = Vec::new();
    for folder in listed {
        match layout::partition_of_folder(location.layout, &folder) {
            Some(Partition::Month(period)) => months.folders.entry(period).or_default().push(folder),
            Some(Partition::Day(period)) => days.folders.entry(period).or_default().push(folder),
            Some(Partition::Model) => models.push(folder),
            None => {}
        }
    }
    models.sort_by_key(|folder| std::cmp::Reverse(layout::model_order(folder)));
    if !months.folders.is_empty() {
        (months, Vec::new())
    } else if !days.folders.is_empty() {
        (days, Vec::new())
    } else {
        (Places::default(), models)
    }
}

/// Who tells what folders there are.
#[async_trait]
pub(super) trait Folders: Sync {
    /// The folders directly below a prefix, with a slash at the end.
    async fn below(&self, prefix: &str) -> Result<Vec<String>>;
}

#[async_trait]
impl Folders for dyn DeliveryRoot + '_ {
    async fn below(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.list(prefix).await?.folders)
    }
}

/// The manifests among listed objects, by their folders.
struct Manifests<'a>(BTreeMap<&'a str, Vec<&'a ListedObject>>);

#[async_trait]
impl Folders for Manifests<'_> {
    async fn below(&self, prefix: &str) -> Result<Vec<String>> {
        let names = self
            .0
            .keys()
            .filter_map(|folder| folder.strip_prefix(prefix)?.split_once('/'));
        let mut folders: Vec<String> = names.map(|(name, _)| format!("{prefix}{name}/")).collect();
        folders.dedup();
        Ok(folders)
    }
}

/// Finds the folders of the periods that are delivered in the location's layout. One request, and one more for each version
/// of the carbon model, or for each year of a legacy report of which only the Athena folders are there.
pub(super) async fn find<F: Folders + ?Sized>(root: &F, location: &ExportLocation) -> Result<Places> {
    let listed = root.below(&layout::periods_prefix(location)).await?;
    let athena = layout::athena_prefix(location);
    let with_athena = location.layout == DeliveryLayout::LegacyReport && listed.contains(&athena);
    let (mut places, models) = arrange(location, listed);
    places.moving |= !models.is_empty();
    for model in models {
        let (months, _) = arrange(location, root.below(&model).await?);
        for (period, folders) in months.folders {
            places.folders.entry(period).or_default().extend(folders);
        }
    }
    // AWS writes the manifest to both places; a copy of the data alone has one of them.
    if with_athena && places.folders.is_empty() {
        let years = root.below(&athena).await?;
        for year in years.into_iter().filter(|folder| layout::is_year_folder(folder)) {
            for month in root.below(&year).await? {
                if let Some(period) = layout::period_of_athena_folder(&month) {
                    places.folders.entry(period).or_default().push(month);
                }
            }
        }
    }
    Ok(places)
}

/// The newest manifest of each period among all objects below [`layout::periods_prefix`]; periods whose manifests say no
/// ETag make it `None`.
pub(super) async fn newest_manifests(
    location: &ExportLocation,
    objects: &[ListedObject],
) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>> {
    let mut by_folder: BTreeMap<&str, Vec<&ListedObject>> = BTreeMap::new();
    for object in objects {
        if let Some(slash) = object.key.rfind('/')
            && object.key.ends_with("Manifest.json")
        {
            by_folder.entry(&object.key[..=slash]).or_default().push(object);
        }
    }
    let manifests = Manifests(by_folder);
    let places = find(&manifests, location).await?;
    let mut found = BTreeMap::new();
    for (period, folders) in places.folders {
        let newest = folders.iter().find_map(|folder| {
            let objects = manifests.0.get(folder.as_str())?;
            layout::choose_manifest(location, folder, objects.iter().copied())
        });
        if let Some(manifest) = newest {
            let Some(e_tag) = manifest.e_tag.clone() else {
                return Ok(None);
            };
            let key = manifest.key.clone();
            found.insert(period, ListedManifest { key, e_tag });
        }
    }
    Ok(Some(found))
}
