//! What the corpus promises, checked on a miniature of the real sources.

mod building;
mod descriptions;
mod independence;
mod pictures;
mod sampling;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::synthetic::Split;

/// Faces an emotion of the miniature: training, validation, test.
const COUNTS: [usize; 3] = [6, 3, 4];

/// The sources and a corpus built from them, on disk for as long as the tests run.
struct Miniature {
    _kept: tempfile::TempDir,
    options: BuildOptions,
    corpus: PathBuf,
}

static MINIATURE: LazyLock<Miniature> = LazyLock::new(|| {
    let kept = tempfile::tempdir().unwrap();
    let root = kept.path();
    let options = miniature::write_sources(root, COUNTS).unwrap();
    let corpus = root.join("corpus");
    std::fs::create_dir(&corpus).unwrap();
    write(&build(&options, &mut |_| ()).unwrap(), &corpus);
    Miniature {
        _kept: kept,
        options,
        corpus,
    }
});

fn write(built: &Built, folder: &std::path::Path) {
    for (name, bytes) in &built.files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

fn data(split: Split) -> Arc<FaceSplit> {
    Arc::new(FaceSplit::open(&MINIATURE.corpus, split).unwrap())
}

fn corpus(split: Split, config: FaceConfig) -> FaceCorpus {
    FaceCorpus::new(config, data(split)).unwrap()
}

fn scenes(seed: u64) -> FaceConfig {
    FaceConfig {
        seed,
        ..FaceConfig::default()
    }
}

fn single(seed: u64) -> FaceConfig {
    FaceConfig {
        view: FaceView::Single,
        frames: 1,
        ..scenes(seed)
    }
}
