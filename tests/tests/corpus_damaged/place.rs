//! Where damage is tested: a folder that is watched, and drawn videos in it.

use std::path::{Path, PathBuf};

use emotionclip_data::prepare::{Limits, ReleaseFiles, StepReport, WorkFolder, import_release};
use integration_tests::corpus::write_release;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ALLOCATOR;

pub const EACH: usize = 25;
/// Megabytes that handling of the damaged inputs may take at once: a picture of 60,000 × 60,000 pixels
/// would take 10,800.
pub const MOST_MEGABYTES: f32 = 200.0;
/// Damage is what is tested, so no amount of it stops a step.
pub const LIMITS: Limits = Limits {
    max_broken: 1.0,
    workers: 2,
};

pub fn seeded(kind: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(20_221 + kind)
}

pub fn bytes(rng: &mut ChaCha8Rng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A folder with an output folder in it, and everything outside of that as it was.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("inside").join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs something and checks that it wrote into the output folder only, and in bounded memory.
    pub fn guarded<T>(&self, run: impl FnOnce(&WorkFolder) -> T) -> T {
        std::fs::create_dir_all(self.path("")).unwrap();
        let outside = || {
            let mut files = files_below_without_loops(self.folder.path());
            files.retain(|path| !path.starts_with(self.path("work")));
            files
        };
        let before = outside();
        let work = WorkFolder::open(&self.path("work")).unwrap();
        ALLOCATOR.reset_peak_usage();
        let held = ALLOCATOR.current_usage_as_mb();
        let result = run(&work);
        let peak = ALLOCATOR.peak_usage_as_mb() - held;
        assert!(peak < MOST_MEGABYTES, "{peak} MB");
        assert_eq!(
            before,
            outside(),
            "something was written outside the output folder"
        );
        result
    }

    /// As [`Place::guarded`], for what opens no work folder.
    pub fn guarded_again(&self, run: impl FnOnce()) {
        let outside = || {
            let mut files = files_below_without_loops(self.folder.path());
            files.retain(|path| !path.starts_with(self.path("work")));
            files
        };
        let before = outside();
        ALLOCATOR.reset_peak_usage();
        let held = ALLOCATOR.current_usage_as_mb();
        run();
        let peak = ALLOCATOR.peak_usage_as_mb() - held;
        assert!(peak < MOST_MEGABYTES, "{peak} MB");
        assert_eq!(
            before,
            outside(),
            "something was written outside the output folder"
        );
    }
}

/// Names only, links not followed.
fn files_below_without_loops(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::symlink_metadata(&path).unwrap().is_dir() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every video of the step is skipped as broken, with a reason.
pub fn all_broken(report: &StepReport, count: usize) {
    assert_eq!(report.total, count);
    assert_eq!(report.skipped.len(), count, "{:#?}", report.skipped);
    for skip in &report.skipped {
        assert!(skip.is_broken && skip.reason.len() > 10, "{skip:?}");
    }
}

/// A work folder with drawn videos in it.
pub fn imported(place: &Place, videos: usize) -> WorkFolder {
    write_release(&place.path("release"), videos);
    let work = WorkFolder::open(&place.path("work")).unwrap();
    import_release(&work, &release_files(place), &LIMITS, &|_| {}).unwrap();
    work
}

pub fn release_files(place: &Place) -> ReleaseFiles {
    ReleaseFiles {
        videos: place.path("release/videos"),
        captions: None,
        index: Some(place.path("release/index.json")),
        sentiment_logits: Some(place.path("release/logits.npy")),
    }
}
