//! The videos of a folder and the captions beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::error::PrepareError;
use super::step::Skip;
use crate::decode::{is_hidden, is_video_name};

/// Caption files, the richest format first: `json3` has a time for each word.
const CAPTION_EXTENSIONS: [&str; 4] = ["json3", "vtt", "srt", "json"];
/// Longest id; with the parts of a sample's name it must fit into a file name.
const LONGEST_ID: usize = 180;
/// Folders within folders that are looked into.
const DEEPEST: usize = 32;

/// A video to prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputVideo {
    /// Its id: the path below the folder without its extension, made safe for a file name.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// Its captions, where there are some.
    pub captions: Option<PathBuf>,
}

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Sorted by id.
    pub videos: Vec<InputVideo>,
    /// What was found and can't be taken.
    pub skipped: Vec<Skip>,
}

impl Inputs {
    /// Looks for videos in a folder and below; captions have the same name (`talk.mp4`, `talk.srt` or
    /// `talk.en.vtt`) and stand beside the video or at the same place below `captions`. Of several
    /// languages the one named is taken, else the first.
    ///
    /// # Errors
    /// If there is no such folder or no video in it.
    pub fn find(
        folder: &Path,
        captions: Option<&Path>,
        language: Option<&str>,
        leave_out: &Path,
    ) -> Result<Self, PrepareError> {
        if !folder.is_dir() {
            let problem = "no such folder; give one with videos".to_owned();
            return Err(PrepareError::Nothing {
                path: folder.to_owned(),
                problem,
            });
        }
        let mut found = Self::default();
        let mut videos: BTreeMap<String, PathBuf> = BTreeMap::new();
        for path in files_below(folder, leave_out, &mut found.skipped) {
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            if !is_video_name(&path) {
                continue;
            }
            let name = relative.display().to_string();
            let Some(id) = relative.with_extension("").to_str().map(encode_id) else {
                found
                    .skipped
                    .push(Skip::broken(name, "its name is not UTF-8; rename it"));
                continue;
            };
            if id.len() > LONGEST_ID {
                found
                    .skipped
                    .push(Skip::broken(name, "its name is too long; rename it"));
            } else if let Some(first) = videos.get(&id) {
                let reason = format!("only its extension tells it from {}", first.display());
                found.skipped.push(Skip::left_out(name, reason));
            } else {
                videos.insert(id, path);
            }
        }
        if videos.is_empty() && found.skipped.is_empty() {
            let problem =
                "no video in it or below; give a folder with videos (mp4, webm, mkv, …)".to_owned();
            return Err(PrepareError::Nothing {
                path: folder.to_owned(),
                problem,
            });
        }
        let mut listed = Listed::default();
        for (id, path) in videos {
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            let beside = captions.map_or_else(|| path.clone(), |captions| captions.join(relative));
            let captions = listed.captions_of(&beside, language);
            found.videos.push(InputVideo { id, path, captions });
        }
        found.skipped.sort();
        Ok(found)
    }
}

/// Files of a folder and below in order of their paths; links are followed, loops are named.
fn files_below(folder: &Path, leave_out: &Path, skipped: &mut Vec<Skip>) -> Vec<PathBuf> {
    let leave_out = std::fs::canonicalize(leave_out).ok();
    let walk = WalkDir::new(folder)
        .follow_links(true)
        .max_depth(DEEPEST)
        .sort_by_file_name();
    let entries = walk.into_iter().filter_entry(|entry| {
        let is_output = entry.file_type().is_dir()
            && leave_out.is_some()
            && std::fs::canonicalize(entry.path()).ok() == leave_out;
        entry.depth() == 0 || !(is_output || is_hidden(entry.path()))
    });
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                let name = path
                    .strip_prefix(folder)
                    .unwrap_or(path)
                    .display()
                    .to_string();
                let reason = match error.loop_ancestor() {
                    Some(_) => "a symbolic link that leads back to a folder above it".to_owned(),
                    None => match error.io_error() {
                        Some(error) => format!("cannot be read ({error})"),
                        None => "cannot be read".to_owned(),
                    },
                };
                skipped.push(Skip::broken(name, reason));
            }
        }
    }
    files
}

/// File names of folders, each read once.
#[derive(Default)]
struct Listed(BTreeMap<PathBuf, Vec<String>>);

impl Listed {
    fn names(&mut self, folder: &Path) -> &[String] {
        self.0.entry(folder.to_owned()).or_insert_with(|| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect();
            names.sort();
            names
        })
    }

    /// The captions of a video whose path is this one, or would be in the captions' folder.
    fn captions_of(&mut self, video: &Path, language: Option<&str>) -> Option<PathBuf> {
        let folder = video.parent()?;
        let stem = video.file_stem()?.to_str()?.to_owned();
        // The layout of the release: a folder a video.
        let nested = folder.join(&stem).join("transcript.json");
        let mut best: Option<((usize, usize), &String)> = None;
        for name in self.names(folder) {
            let Some(rest) = name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let (tag, extension) = rest.rsplit_once('.').unwrap_or(("", rest));
            let extension = extension.to_ascii_lowercase();
            let Some(format) = CAPTION_EXTENSIONS.iter().position(|one| *one == extension) else {
                continue;
            };
            // `talk.info.json` and the like are no captions; a language has a short tag.
            let is_language = tag.len() <= 12 && tag != "info" && !tag.contains('.');
            let spoken = match language {
                _ if tag.is_empty() => 1,
                Some(wanted) if tag.eq_ignore_ascii_case(wanted) => 0,
                Some(wanted) if tag.split('-').next() == Some(wanted) => 2,
                Some(_) => continue,
                None => 3,
            };
            let rank = (spoken, format);
            if is_language && best.as_ref().is_none_or(|(first, _)| rank < *first) {
                best = Some((rank, name));
            }
        }
        match best {
            Some((_, name)) => Some(folder.join(name)),
            None => nested.is_file().then_some(nested),
        }
    }
}

/// A name that is safe as the name of a file anywhere and before the first point of a sample's name:
/// letters, digits, `-` and `_` stay, every other byte becomes `%` and two digits. Two names never
/// become the same.
pub fn encode_id(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("%{byte:02X}"));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[InputVideo]) -> Vec<(&str, Option<&str>)> {
        let captions = |video: &'_ InputVideo| {
            video
                .captions
                .as_ref()
                .and_then(|path| path.file_name()?.to_str().map(str::to_owned))
        };
        found
            .iter()
            .map(|video| (video.id.as_str(), captions(video).map(|name| &*name.leak())))
            .collect()
    }

    #[test]
    fn captions_are_found_by_name_format_and_language() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a.mp4",
            "a.srt",
            "a.de.vtt",
            "b.webm",
            "b.en.vtt",
            "b.en.json3",
            "b.fr.vtt",
            "b.info.json",
            "c d.mkv",
            "c d2.srt",
            "sub/a.mp4",
            "sub/a.vtt",
            "notes.txt",
            ".hidden.mp4",
            "a.webm",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let out = folder.path().join("out");
        let found = Inputs::find(folder.path(), None, Some("en"), &out).unwrap();
        assert_eq!(
            names(&found.videos),
            [
                ("a", Some("a.srt")),
                ("b", Some("b.en.json3")),
                ("c%20d", None),
                ("sub%2Fa", Some("a.vtt"))
            ]
        );
        assert_eq!(found.skipped.len(), 1, "{:?}", found.skipped);
        assert_eq!(found.skipped[0].item, "a.webm");
        let german = Inputs::find(folder.path(), None, Some("de"), &out).unwrap();
        assert_eq!(names(&german.videos)[0], ("a", Some("a.de.vtt")));
    }

    #[test]
    fn ids_are_safe_and_never_the_same() {
        assert_eq!(encode_id("../a b.c"), "%2E%2E%2Fa%20b%2Ec");
        assert_ne!(encode_id("a%2E"), encode_id("a."));
    }

    #[test]
    #[cfg(unix)]
    fn a_loop_of_links_is_named_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a.mp4"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/loop")).unwrap();
        let found = Inputs::find(folder.path(), None, None, Path::new("none")).unwrap();
        assert_eq!(found.videos.len(), 1);
        assert_eq!(found.skipped[0].item, "sub/loop");
        assert!(found.skipped[0].reason.contains("symbolic link"));
    }

    #[test]
    fn nothing_to_do_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = Inputs::find(folder.path(), None, None, Path::new("none")).unwrap_err();
        assert!(error.to_string().contains("no video"), "{error}");
        assert!(Inputs::find(Path::new("nowhere"), None, None, Path::new("none")).is_err());
    }
}
