//! Any dataset that is kept as a folder per class.
//!
//! ```text
//! root/joy/01.png            a picture
//! root/joy/02.mp4            a video
//! root/joy/03/0001.jpg …     a folder of frames is one clip
//! root/anger/…
//! ```
//!
//! With `train`, `val` and `test` folders above the classes these are the parts; else a share of
//! every class is drawn for the test, the same for the same seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::decode::{self, DecodeError, DecodeFault, Media};
use crate::synthetic::Split;

/// Names of the folders that hold a part.
const PART_NAMES: [(&str, Split); 7] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("val", Split::Validation),
    ("valid", Split::Validation),
    ("validation", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
];

/// How a folder is read as a dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FolderOptions {
    /// Folder name to label. Several folders may share a label, an empty label leaves the folder
    /// out, and a folder that is not named here has its own name as label.
    pub labels: BTreeMap<String, String>,
}

/// A clip or picture of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderItem {
    /// Its path below the root, with `/` between the parts.
    pub key: String,
    /// What to read.
    pub media: Media,
    /// Index into [`FolderDataset::labels`].
    pub label: usize,
    /// The part it belongs to; `None` until [`FolderDataset::draw_test`] where no folder says it.
    pub split: Option<Split>,
}

/// A dataset with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderDataset {
    /// The labels that occur, in alphabetical order.
    pub labels: Vec<String>,
    /// All items, ordered by part, label and name.
    pub items: Vec<FolderItem>,
    /// Files that are neither a picture nor a video by their names and were left out.
    pub skipped: usize,
}

/// Why a folder is no dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder or an item in it can't be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The root is a file.
    #[error("{}: not a folder; give the folder that holds a folder per class", .0.display())]
    NotAFolder(PathBuf),
    /// The root holds no folder of a class.
    #[error(
        "{}: no folders of classes inside; expected {}/<label>/<picture or video>",
        .0.display(),
        .0.display()
    )]
    NoClasses(PathBuf),
    /// The folders of classes hold nothing that is read.
    #[error("{}: no pictures or videos in its folders", .0.display())]
    NoItems(PathBuf),
    /// The mapping names a folder that does not exist.
    #[error("{}: the labels file maps '{folder}', and there is no such folder", root.display())]
    UnknownFolder {
        /// The dataset.
        root: PathBuf,
        /// The name in the mapping.
        folder: String,
    },
    /// A share of test items that leaves one side empty.
    #[error("the share of test items is {0}; give a number between 0 and 1")]
    Share(f64),
}

/// A file found, before labels have numbers.
struct Found {
    key: String,
    media: Media,
    label: String,
    split: Option<Split>,
}

impl FolderDataset {
    /// Lists a dataset; no picture is decoded yet.
    ///
    /// # Errors
    /// A root that is missing, no folder or without classes; an item that is missing or empty.
    pub fn open(root: &Path, options: &FolderOptions) -> Result<Self, FolderError> {
        let metadata = std::fs::metadata(root).map_err(|error| in_folder(root, error))?;
        if !metadata.is_dir() {
            return Err(FolderError::NotAFolder(root.to_owned()));
        }
        let top = Listing::of(root)?;
        if top.folders.is_empty() {
            return Err(FolderError::NoClasses(root.to_owned()));
        }
        let parts: Vec<Option<Split>> = top.folders.iter().map(|one| part_of(one)).collect();
        let has_parts = parts.iter().all(Option::is_some);
        let mut found = Vec::new();
        let mut skipped = top.files.len();
        let mut classes = Vec::new();
        for (folder, part) in top.folders.into_iter().zip(parts) {
            if has_parts {
                let inner = Listing::of(&folder)?;
                skipped += inner.files.len();
                classes.extend(inner.folders.into_iter().map(|class| (class, part)));
            } else {
                classes.push((folder, None));
            }
        }
        for name in options.labels.keys() {
            if !classes.iter().any(|(class, _)| file_name(class) == *name) {
                let (root, folder) = (root.to_owned(), name.clone());
                return Err(FolderError::UnknownFolder { root, folder });
            }
        }
        if classes.is_empty() {
            return Err(FolderError::NoClasses(root.to_owned()));
        }
        for (class, split) in classes {
            let name = file_name(&class);
            let label = options.labels.get(&name).cloned().unwrap_or(name);
            if !label.is_empty() {
                skipped += collect(root, &class, &label, split, &mut found)?;
            }
        }
        if found.is_empty() {
            return Err(FolderError::NoItems(root.to_owned()));
        }
        Ok(Self::numbered(found, skipped))
    }

    fn numbered(found: Vec<Found>, skipped: usize) -> Self {
        let mut labels: Vec<String> = found.iter().map(|item| item.label.clone()).collect();
        labels.sort();
        labels.dedup();
        let mut items: Vec<FolderItem> = found
            .into_iter()
            .map(|item| FolderItem {
                label: labels.partition_point(|label| *label < item.label),
                key: item.key,
                media: item.media,
                split: item.split,
            })
            .collect();
        // Stable: within a class the order of the listing stays.
        items.sort_by_key(|item| (item.split, item.label));
        Self {
            labels,
            items,
            skipped,
        }
    }

    /// Whether the folders say which part an item belongs to.
    pub fn has_parts(&self) -> bool {
        self.items.iter().all(|item| item.split.is_some())
    }

    /// Draws `share` of every class for the test part, and leaves the rest for training; a class
    /// of one item is for training. Parts that the folders tell are kept.
    ///
    /// # Errors
    /// A share that is not between 0 and 1.
    pub fn draw_test(&mut self, share: f64, seed: u64) -> Result<(), FolderError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(FolderError::Share(share));
        }
        for label in 0..self.labels.len() {
            let of_class = |item: &FolderItem| item.label == label && item.split.is_none();
            let count = self.items.iter().filter(|item| of_class(item)).count();
            // Each class has a stream of its own: another class does not change its test items.
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(label as u64);
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(&mut random);
            let tested = (count as f64 * share).round() as usize;
            let tested = tested.clamp(usize::from(count > 1), count.saturating_sub(1));
            let undrawn = self.items.iter_mut().filter(|item| of_class(item));
            // A list, because what is found depends on what is changed.
            for (item, place) in undrawn.collect::<Vec<_>>().into_iter().zip(order) {
                item.split = Some(if place < tested {
                    Split::Test
                } else {
                    Split::Train
                });
            }
        }
        Ok(())
    }

    /// The items of a part. A dataset with a validation and no test part is tested on that.
    pub fn part(&self, split: Split) -> Vec<&FolderItem> {
        let of = |split| -> Vec<&FolderItem> {
            let wanted = |item: &&FolderItem| item.split == Some(split);
            self.items.iter().filter(wanted).collect()
        };
        let items = of(split);
        if split == Split::Test && items.is_empty() {
            return of(Split::Validation);
        }
        items
    }
}

/// The files and folders of a folder, hidden ones left out, in natural order.
#[derive(Default)]
struct Listing {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Listing {
    fn of(folder: &Path) -> Result<Self, DecodeError> {
        let mut listing = Self::default();
        for entry in std::fs::read_dir(folder).map_err(|error| in_folder(folder, error))? {
            let path = entry.map_err(|error| in_folder(folder, error))?.path();
            if decode::is_hidden(&path) {
                continue;
            }
            if path.is_dir() {
                listing.folders.push(path);
            } else {
                listing.files.push(path);
            }
        }
        for paths in [&mut listing.files, &mut listing.folders] {
            paths.sort_by_cached_key(|path| decode::natural_key(path));
        }
        Ok(listing)
    }
}

/// Adds the items of a class and counts the files that are none.
fn collect(
    root: &Path,
    class: &Path,
    label: &str,
    split: Option<Split>,
    found: &mut Vec<Found>,
) -> Result<usize, DecodeError> {
    let Listing { files, folders } = Listing::of(class)?;
    let mut skipped = 0;
    for path in files.into_iter().chain(folders) {
        if path.is_file() && !decode::is_media_name(&path) {
            skipped += 1;
            continue;
        }
        let media = match Media::open(&path) {
            Ok(media) => media,
            // A folder without pictures holds something else than a clip.
            Err(DecodeError {
                fault: DecodeFault::NoFrames(_),
                ..
            }) if path.is_dir() => {
                skipped += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let below = path.strip_prefix(root).unwrap_or(&path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        found.push(Found {
            key: parts.join("/"),
            media,
            label: label.to_owned(),
            split,
        });
    }
    Ok(skipped)
}

fn part_of(folder: &Path) -> Option<Split> {
    let name = file_name(folder).to_lowercase();
    let part = PART_NAMES.iter().find(|(part, _)| *part == name);
    part.map(|(_, split)| *split)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn in_folder(folder: &Path, error: std::io::Error) -> DecodeError {
    DecodeError {
        path: folder.to_owned(),
        fault: error.into(),
    }
}

#[cfg(test)]
mod tests;
