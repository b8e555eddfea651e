//! The program itself, run as a user runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use emotionclip::config::{PatchStem, VisionInit};
use emotionclip::pretrained::default_preprocess;
use emotionclip::{Emotion, EmotionClipConfig, Pretrained};
use emotionclip_data::synthetic::{FigureCount, Split, SyntheticConfig, SyntheticCorpus};

/// The built program, from the same profile as this test.
///
/// # Panics
///
/// If it was not built.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("<profile>/deps/<test>");
    let program = profile.join(format!("trainer{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} does not exist: run cargo build -p trainer first (with the test's profile)",
        program.display()
    );
    program
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Finished {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs of the program in a folder of their own, on the CPU, with caches inside the folder.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    /// Runs in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            variables: Vec::new(),
        }
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file inside and gives its path as text.
    ///
    /// # Panics
    ///
    /// If the disk refuses.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, content).expect("a writable folder");
        path.display().to_string()
    }

    /// Runs the program with these arguments.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Finished {
        let output = Command::new(program())
            .args(args)
            .args(["--device", "cpu", "--quiet"])
            .current_dir(&self.folder)
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("HF_HOME", self.path("hub"))
            .env_remove("HF_ENDPOINT")
            .env_remove("RUST_LOG")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the program starts");
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program with `--json` and gives the result object.
    ///
    /// # Panics
    ///
    /// If it fails or prints anything else.
    pub fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> serde_json::Value {
        let mut args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        args.push(OsStr::new("--json"));
        let finished = self.run(&args);
        assert_eq!(finished.code, Some(0), "{args:?}: {}", finished.stderr);
        assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.stdout);
        serde_json::from_str(&finished.stdout).expect("one JSON object on stdout")
    }

    /// Runs the program and checks that it refuses its input: exit code 2, nothing on stdout, and
    /// one line that says all of `parts`.
    ///
    /// # Panics
    ///
    /// If it does anything else.
    pub fn refuses<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S], parts: &[&str]) {
        let Finished {
            code,
            stdout,
            stderr,
        } = self.run(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stdout.is_empty(), "{args:?} printed {stdout}");
        let lines: Vec<&str> = stderr
            .lines()
            .filter(|line| line.starts_with("error:"))
            .collect();
        assert_eq!(lines.len(), 1, "{args:?}: {stderr}");
        assert_eq!(
            stderr.lines().last(),
            Some(lines[0]),
            "the error is the last line: {stderr}"
        );
        for part in parts {
            assert!(
                lines[0].contains(part),
                "{args:?}: '{part}' is not in: {}",
                lines[0]
            );
        }
    }
}

/// Saves `count` pictures of single figures for each of some emotions as `root/<emotion>/<n>.png`.
///
/// # Panics
///
/// If the disk refuses.
pub fn write_faces(root: &Path, emotions: &[Emotion], count: usize) {
    let config = SyntheticConfig {
        size: 64,
        frames: 4,
        figures: FigureCount::Single,
        ..SyntheticConfig::default()
    };
    let corpus = SyntheticCorpus::new(config, Split::Train).expect("a sound configuration");
    for emotion in emotions {
        let folder = root.join(emotion.name());
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let indices = (0..).filter(|index| corpus.scene(*index).emotion() == *emotion);
        for (number, index) in indices.take(count).enumerate() {
            let frames = corpus.sample_peak(index).clip.frames;
            frames[0]
                .save(folder.join(format!("{number}.png")))
                .expect("a writable folder");
        }
    }
}

/// A small model that every format can hold: ViT without a stem, 64 channels a head.
///
/// # Panics
///
/// If the model crate refuses its configuration.
pub fn small_model() -> Pretrained {
    let mut config = EmotionClipConfig::nano();
    config.embed_dim = 64;
    config.vision.image_size = 32;
    config.vision.width = 64;
    config.vision.heads = 1;
    config.vision.layers = 2;
    config.vision.stem = PatchStem::Linear;
    config.vision.init = VisionInit::Random;
    config.text.width = 64;
    config.text.heads = 1;
    config.text.vocab_size = 514 + 100;
    config.temporal.heads = 1;
    let model = config
        .init_seeded(5, &Device::flex())
        .expect("a sound configuration");
    Pretrained::new(model, default_preprocess(&config)).expect("a tokenizer")
}
