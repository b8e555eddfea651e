//! The release's `frames.hdf5`: a dataset a picture, its bytes stored as one NumPy string.

use std::path::Path;

use hdf5_reader::{Hdf5File, OpenOptions};

use super::frames::frame_name;
use crate::guard::guarded;

/// Bytes of a picture at most.
const LARGEST_FRAME: usize = 64 << 20;

/// An open file of frames.
pub(super) struct PackedFrames {
    file: Hdf5File,
}

impl PackedFrames {
    /// Opens a file of frames.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let options = OpenOptions::default().with_max_read_bytes(LARGEST_FRAME);
        let file = guarded(|| {
            Hdf5File::open_with_options(path, options).map_err(|error| error.to_string())
        });
        Ok(Self {
            file: file.map_err(|problem| format!("no HDF5 file that can be read ({problem})"))?,
        })
    }

    /// Names of what it holds.
    ///
    /// # Errors
    /// What is wrong with its lists, for people.
    pub(super) fn names(&self) -> Result<Vec<String>, String> {
        guarded(|| {
            let root = self.file.root_group().map_err(|error| error.to_string())?;
            let (_, datasets) = root.member_names().map_err(|error| error.to_string())?;
            Ok(datasets)
        })
    }

    /// Writes a frame as the JPEG file that it is.
    ///
    /// # Errors
    /// A damaged picture's reason for people, or the disk's error.
    pub(super) fn write(&self, number: usize, to: &Path) -> Result<std::io::Result<()>, String> {
        let name = frame_name(number);
        let bytes = guarded(|| {
            let root = self.file.root_group().map_err(|error| error.to_string())?;
            let dataset = root.dataset(&name).map_err(|error| error.to_string())?;
            dataset.read_raw_bytes().map_err(|error| error.to_string())
        });
        let bytes = bytes.map_err(|problem| format!("{name} can't be read ({problem})"))?;
        if !bytes.starts_with(&[0xff, 0xd8]) {
            return Err(format!("{name} is no JPEG picture"));
        }
        Ok(std::fs::write(to.join(&name), bytes))
    }
}
