//! Where the manifests of a location's periods lie.

use std::collections::BTreeMap;

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

/// Finds the folders of the periods that are delivered in the location's layout. One request, and one more for each version
/// of the carbon model, or for each year of a legacy report of which only the Athena folders are there.
pub(super) async fn find(root: &dyn DeliveryRoot, location: &ExportLocation) -> Result<Places> {
    let listed = root.list(&layout::periods_prefix(location)).await?.folders;
    let athena = layout::athena_prefix(location);
    let with_athena = location.layout == DeliveryLayout::LegacyReport && listed.contains(&athena);
    let (mut places, models) = arrange(location, listed);
    if !models.is_empty() {
        places.moving = true;
    }
    for model in models {
        let (months, _) = arrange(location, root.list(&model).await?.folders);
        for (period, folders) in months.folders {
            places.folders.entry(period).or_default().extend(folders);
        }
    }
    // AWS writes the manifest to both places; a copy of the data alone has one of them.
    if with_athena && places.folders.is_empty() {
        let years = root.list(&athena).await?.folders;
        for year in years.into_iter().filter(|folder| layout::is_year_folder(folder)) {
            for month in root.list(&year).await?.folders {
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
pub(super) fn newest_manifests(
    location: &ExportLocation,
    objects: &[ListedObject],
) -> Option<BTreeMap<BillingPeriod, ListedManifest>> {
    let mut by_folder: BTreeMap<&str, Vec<&ListedObject>> = BTreeMap::new();
    for object in objects {
        if let Some(slash) = object.key.rfind('/')
            && object.key.ends_with("Manifest.json")
        {
            by_folder.entry(&object.key[..=slash]).or_default().push(object);
        }
    }
    let prefix = layout::periods_prefix(location);
    let athena = layout::athena_prefix(location);
    let mut folders = Vec::new();
    let mut in_models: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut in_athena: BTreeMap<BillingPeriod, String> = BTreeMap::new();
    for folder in by_folder.keys() {
        let Some(below) = folder.strip_prefix(prefix.as_str()) else {
            continue;
        };
        let deep = below.trim_end_matches('/').matches('/').count();
        match deep {
            0 => folders.push((*folder).to_owned()),
            1 => {
                let model = below.split_once('/').map_or("", |(model, _)| model);
                in_models
                    .entry(format!("{prefix}{model}/"))
                    .or_default()
                    .push((*folder).to_owned());
            }
            2 if folder.starts_with(&athena) => {
                if let Some(period) = layout::period_of_athena_folder(folder) {
                    in_athena.insert(period, (*folder).to_owned());
                }
            }
            _ => {}
        }
    }
    let above: Vec<String> = folders.into_iter().chain(in_models.keys().cloned()).collect();
    let (mut places, models) = arrange(location, above);
    for model in models {
        let (months, _) = arrange(location, in_models.remove(&model).unwrap_or_default());
        for (period, folders) in months.folders {
            places.folders.entry(period).or_default().extend(folders);
        }
    }
    if location.layout == DeliveryLayout::LegacyReport && places.folders.is_empty() {
        places.folders = in_athena
            .into_iter()
            .map(|(period, folder)| (period, vec![folder]))
            .collect();
    }
    let mut found = BTreeMap::new();
    for (period, folders) in places.folders {
        let newest = folders.iter().find_map(|folder| {
            let objects = by_folder.get(folder.as_str())?;
            layout::choose_manifest(location, folder, objects.iter().copied())
        });
        if let Some(manifest) = newest {
            let listed = ListedManifest {
                key: manifest.key.clone(),
                e_tag: manifest.e_tag.clone()?,
            };
            found.insert(period, listed);
        }
    }
    Some(found)
}
