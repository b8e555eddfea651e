//! Damaged inputs of nine kinds, 25 of each: every one ends in a skip that is counted and named or in an
//! error, memory stays bounded, and nothing is written outside the output folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use emotionclip_data::captions::Captions;
use emotionclip_data::prepare::{
    BoxSource, BoxSpace, EvaluationSets, FrameSettings, IndexFilters, Inputs, Limits, ReleaseFiles,
    StepReport, WorkFolder, import_release, prepare_frames, prepare_subjects, write_index,
};
use emotionclip_data::shards::{ShardSet, ShardSettings, check, read_sample, write_shards};
use integration_tests::corpus::{files_below, write_release};
use peak_alloc::PeakAlloc;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const EACH: usize = 25;
/// Megabytes that handling of the damaged inputs may take at once: a picture of 60,000 × 60,000 pixels
/// would take 10,800.
const MOST_MEGABYTES: f32 = 200.0;
/// Damage is what is tested, so no amount of it stops a step.
const LIMITS: Limits = Limits {
    max_broken: 1.0,
    workers: 2,
};

fn seeded(kind: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(20_221 + kind)
}

fn bytes(rng: &mut ChaCha8Rng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A folder with an output folder in it, and everything outside of that as it was.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("inside").join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs something and checks that it wrote into the output folder only, and in bounded memory.
    fn guarded<T>(&self, run: impl FnOnce(&WorkFolder) -> T) -> T {
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

fn frames(place: &Place) -> StepReport {
    place.guarded(|work| {
        let inputs = Inputs::find(&place.path("videos"), None, None, &place.path("work")).unwrap();
        prepare_frames(work, &inputs, &FrameSettings::default(), &LIMITS, &|_| {}).unwrap()
    })
}

/// Every video of the step is skipped as broken, with a reason.
fn all_broken(report: &StepReport, count: usize) {
    assert_eq!(report.total, count);
    assert_eq!(report.skipped.len(), count, "{:#?}", report.skipped);
    for skip in &report.skipped {
        assert!(skip.is_broken && skip.reason.len() > 10, "{skip:?}");
    }
}

mod needs_ffmpeg {
    use super::*;
    use integration_tests::corpus::{SAMPLE, ffmpeg};

    #[test]
    fn truncated_videos() {
        let place = Place::new();
        let mut rng = seeded(1);
        let encode = |name: &str, extra: &[&str]| {
            let path = place.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut args = vec!["-i", SAMPLE, "-vf", "scale=120:-2", "-c:v", "mpeg4"];
            args.extend(extra);
            let path = path.display().to_string();
            args.push(&path);
            ffmpeg(&args);
            std::fs::read(path).unwrap()
        };
        let whole = [
            encode("whole/a.mp4", &[]),
            // Its directory stands in front, so what is left of it can be played.
            encode("whole/b.mp4", &["-movflags", "+faststart"]),
        ];
        for number in 0..EACH {
            let video = &whole[number % 2];
            let cut = rng.random_range(video.len() / 50..video.len() * 6 / 10);
            place.write(&format!("videos/{number}.mp4"), &video[..cut]);
        }
        all_broken(&frames(&place), EACH);
    }

    #[test]
    fn files_of_something_else_under_a_videos_name() {
        let place = Place::new();
        let mut rng = seeded(2);
        let secret = place.path("secret.mp4");
        place.write("secret.mp4", b"of another folder");
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(8, 8)
            .write_to(&mut png, image::ImageFormat::Png)
            .unwrap();
        for number in 0..EACH {
            let content = match number % 8 {
                0 => {
                    let count = rng.random_range(1..4000);
                    bytes(&mut rng, count)
                }
                1 => b"1\n00:00:01,000 --> 00:00:02,000\nhello\n".to_vec(),
                2 => png.get_ref().clone(),
                3 => bomb_png(60_000),
                4 => format!(
                    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
                    secret.display()
                )
                .into_bytes(),
                5 => format!("ffconcat version 1.0\nfile '{}'\n", secret.display()).into_bytes(),
                6 => b"<!DOCTYPE html><title>403 Forbidden</title>".to_vec(),
                _ => bomb_jpeg(60_000),
            };
            let extension = ["mp4", "webm", "mkv", "avi", "mov"][number % 5];
            place.write(&format!("videos/{number}.{extension}"), &content);
        }
        all_broken(&frames(&place), EACH);
    }
}

fn srt(cues: &[(usize, String)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (number, (start, said)) in cues.iter().enumerate() {
        let line = format!(
            "{}\n00:00:{start:02},000 --> 00:00:{start:02},900\n{said}\n\n",
            number + 1
        );
        text.extend(line.into_bytes());
    }
    text
}

fn cues() -> Vec<(usize, String)> {
    (0..40)
        .map(|start| (start, format!("This is line {start}.")))
        .collect()
}

#[test]
fn captions_with_bytes_that_are_no_text() {
    let mut rng = seeded(3);
    for number in 0..EACH {
        let mut file = srt(&cues());
        for _ in 0..=number {
            let place = rng.random_range(0..file.len());
            file.insert(place, rng.random_range(0x80..=0xbf));
        }
        match Captions::from_bytes(&file) {
            // What hit a number or a blank line harms nothing that is said; every other is a fault.
            Ok(captions) => {
                let harmed = String::from_utf8_lossy(&file).lines().any(|line| {
                    line.contains('\u{fffd}') && line.chars().any(|one| one == '-' || one == 'T')
                });
                assert_eq!(harmed, !captions.faults.is_empty(), "{number}");
                assert!(
                    captions
                        .words
                        .iter()
                        .all(|word| !word.text.contains('\u{fffd}'))
                );
            }
            Err(fault) => assert!(fault.to_string().contains("cue"), "{fault}"),
        }
    }
}

#[test]
fn captions_out_of_order() {
    let mut rng = seeded(4);
    for number in 0..EACH {
        let mut cues = cues();
        // From two that changed places to a whole file in disorder.
        for _ in 0..=number {
            let from = rng.random_range(0..cues.len());
            let cue = cues.remove(from);
            let to = (from + rng.random_range(1..cues.len())) % cues.len();
            cues.insert(to, cue);
        }
        if number == EACH - 1 {
            cues.shuffle(&mut rng);
        }
        match Captions::from_bytes(&srt(&cues)) {
            Ok(captions) => {
                assert!(
                    captions
                        .faults
                        .iter()
                        .any(|fault| fault.reason.contains("out of order"))
                );
                assert!(
                    captions
                        .words
                        .windows(2)
                        .all(|pair| pair[0].start <= pair[1].start)
                );
            }
            Err(fault) => assert!(fault.to_string().contains("out of order"), "{fault}"),
        }
    }
}

/// A work folder with drawn videos in it.
fn imported(place: &Place, videos: usize) -> WorkFolder {
    write_release(&place.path("release"), videos);
    let work = WorkFolder::open(&place.path("work")).unwrap();
    import_release(&work, &release_files(place), &LIMITS, &|_| {}).unwrap();
    work
}

fn release_files(place: &Place) -> ReleaseFiles {
    ReleaseFiles {
        videos: place.path("release/videos"),
        captions: None,
        index: Some(place.path("release/index.json")),
        sentiment_logits: Some(place.path("release/logits.npy")),
    }
}

#[test]
fn boxes_outside_the_frame() {
    let place = Place::new();
    let mut rng = seeded(5);
    drop(imported(&place, EACH));
    for number in 0..EACH {
        let (x, y) = (rng.random_range(64.0..9e5), rng.random_range(48.0..9e5));
        let wrong = match number % 8 {
            0 => format!("[{x}, 4, {}, 40, 0.9]", x + 9.0),
            1 => format!("[4, {y}, 40, {}, 0.9]", y + 9.0),
            2 => format!("[-{x}, 4, -2, 40, 0.9]"),
            3 => "[30, 30, 10, 10, 0.9]".to_owned(),
            4 => "[1, 2, 3]".to_owned(),
            5 => "[1e300, 0, 1e301, 9, 0.9]".to_owned(),
            6 => "[1, 1, 9, 9, 7.5]".to_owned(),
            _ => "[null, 1, 9, 9, 0.5]".to_owned(),
        };
        let file = format!("{{\"00000009.jpg\": [[1, 1, 20, 20, 0.8], {wrong}], \"x.jpg\": []}}");
        place.write(&format!("boxes/video{number}.json"), file.as_bytes());
    }
    let report = place.guarded(|work| {
        let source = BoxSource::Import {
            folder: place.path("boxes"),
            space: BoxSpace::Frame,
        };
        prepare_subjects(work, &source, &LIMITS, &|_| {}).unwrap()
    });
    for number in 0..EACH {
        let id = format!("video{number}");
        let is_named = report
            .dropped
            .iter()
            .any(|one| one.starts_with(&format!("{id}: frame 9: a box")));
        let is_skipped = report
            .skipped
            .iter()
            .any(|skip| skip.item == id && skip.is_broken);
        assert!(is_named || is_skipped, "{id}: {report:#?}");
    }
}

/// Shards of drawn videos, as files, with the first clip's bytes.
fn shards(place: &Place) -> (PathBuf, String, Vec<u8>) {
    let work = imported(place, 4);
    write_index(&work, &IndexFilters::default(), &EvaluationSets::default()).unwrap();
    write_shards(&work, &ShardSettings::default(), 1, &|_| {}).unwrap();
    let folder = place.path("work/shards");
    let set = ShardSet::open(&folder).unwrap();
    let sample = &set.samples()[0];
    let shard = std::fs::read(folder.join("shard-000000.tar")).unwrap();
    let clip = shard[sample.offset as usize..][..sample.bytes as usize].to_vec();
    (folder, sample.key.clone(), clip)
}

/// Faults that a check of the shards names.
fn faults(folder: &Path) -> usize {
    match ShardSet::open(folder) {
        Ok(set) => check(&set, true, 1, &|_| {}).unwrap().faults,
        Err(_) => 1,
    }
}

#[test]
fn empty_and_cut_tars() {
    let place = Place::new();
    let (folder, key, clip) = shards(&place);
    assert_eq!(faults(&folder), 0, "whole before");
    let shard = folder.join("shard-000000.tar");
    let whole = std::fs::read(&shard).unwrap();
    let mut rng = seeded(6);
    place.guarded_again(|| {
        for number in 0..EACH {
            let content = match number % 5 {
                0 => Vec::new(),
                1 => vec![0; 1024],
                2 => vec![0; rng.random_range(1..5000)],
                3 => whole[..rng.random_range(0..whole.len())].to_vec(),
                _ => bytes(&mut rng, 2048),
            };
            std::fs::write(&shard, &content).unwrap();
            assert!(faults(&folder) > 0, "{number}");
            let set = ShardSet::open(&folder).unwrap();
            let lost = (0..set.samples().len())
                .filter(|clip| set.read(*clip).is_err())
                .count();
            assert!(lost > 0, "{number}");
            let part = &clip[..rng.random_range(0..clip.len() - 1024)];
            assert!(read_sample("shard", &key, part).is_err(), "{number}");
        }
    });
}

impl Place {
    /// As [`Place::guarded`], for what opens no work folder.
    fn guarded_again(&self, run: impl FnOnce()) {
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

/// A tar entry with any name and type, as no writer of tar files makes it.
fn raw_entry(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = header.to_vec();
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn names_in_a_tar_that_lead_elsewhere() {
    let place = Place::new();
    let (folder, key, clip) = shards(&place);
    let shard = folder.join("shard-000000.tar");
    let whole = std::fs::read(&shard).unwrap();
    let target = place.path("elsewhere").display().to_string();
    let mut rng = seeded(7);
    place.guarded_again(|| {
        for number in 0..EACH {
            let up = "../".repeat(rng.random_range(1..9));
            let (name, kind, link) = match number % 8 {
                0 => (format!("{up}escaped"), b'0', String::new()),
                1 => (
                    format!("/{}", target.trim_start_matches('/')),
                    b'0',
                    String::new(),
                ),
                2 => (format!("a/{up}{up}escaped"), b'0', String::new()),
                3 => ("..\\..\\escaped".to_owned(), b'0', String::new()),
                4 => (format!("{key}.json"), b'2', target.clone()),
                5 => (format!("{key}.json"), b'1', format!("{up}escaped")),
                6 => ("..".to_owned(), b'5', String::new()),
                _ => (format!("{key}.json"), b'3', String::new()),
            };
            // Where a clip's record should stand, and at the end of a shard.
            let mut entry = raw_entry(&name, kind, &link, b"harm");
            let fault = read_sample("shard", &key, &[entry.as_slice(), &clip].concat());
            let fault = fault.map(|_| ()).unwrap_err().to_string();
            assert!(
                fault.contains("name")
                    || fault.contains("plain file")
                    || fault.contains("stands where"),
                "{fault}"
            );
            let mut longer = whole[..whole.len() - 1024].to_vec();
            longer.append(&mut entry);
            longer.extend([0; 1024]);
            std::fs::write(&shard, longer).unwrap();
            assert!(faults(&folder) > 0, "{number}");
        }
    });
    assert!(!Path::new(&target).exists());
}

#[test]
#[cfg(unix)]
fn loops_of_links() {
    use std::os::unix::fs::symlink;
    let mut rng = seeded(8);
    for number in 0..EACH {
        let place = Place::new();
        let depth = rng.random_range(1..6);
        let nested: String = (0..depth).map(|level| format!("/d{level}")).collect();
        let deepest = place.path(&format!("videos{nested}"));
        std::fs::create_dir_all(&deepest).unwrap();
        std::fs::write(deepest.join("a.mp4"), "x").unwrap();
        let link = deepest.join("link");
        match number % 5 {
            0 => symlink(place.path("videos"), &link).unwrap(),
            1 => symlink(&link, &link).unwrap(),
            2 => symlink(&deepest, &link).unwrap(),
            3 => {
                let other = place.path("other");
                std::fs::create_dir_all(&other).unwrap();
                symlink(&other, &link).unwrap();
                symlink(&deepest, other.join("back")).unwrap();
            }
            _ => symlink(place.path("nowhere"), &link).unwrap(),
        }
        place.guarded(|_| {
            let found =
                Inputs::find(&place.path("videos"), None, None, &place.path("work")).unwrap();
            assert_eq!(found.videos.len(), 1, "{number}: {found:?}");
            assert_eq!(found.skipped.len(), 1, "{number}: {found:?}");
            assert!(found.skipped[0].item.contains("link"), "{found:?}");
        });
    }
}

/// A JPEG whose header promises a square of this side and that holds nothing.
fn bomb_jpeg(side: u16) -> Vec<u8> {
    let mut small = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8)
        .write_to(&mut small, image::ImageFormat::Jpeg)
        .unwrap();
    let mut jpeg = small.into_inner();
    let frame = jpeg
        .windows(2)
        .position(|marker| marker == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    jpeg
}

/// As [`bomb_jpeg`], as a PNG.
fn bomb_png(side: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    let sum = crc32fast::hash(&header);
    png.append(&mut header);
    png.extend(sum.to_be_bytes());
    png.write_all(b"\x00\x00\x00\x00IEND\xaeB`\x82").unwrap();
    png
}

#[test]
fn pictures_that_promise_to_be_huge() {
    let place = Place::new();
    let mut rng = seeded(9);
    write_release(&place.path("release"), EACH);
    let bomb = |rng: &mut ChaCha8Rng| {
        let side = rng.random_range(20_000..=65_000_u16);
        if rng.random_bool(0.7) {
            bomb_jpeg(side)
        } else {
            bomb_png(u32::from(side))
        }
    };
    // Among the frames of an imported video.
    for number in 0..EACH {
        let frame = rng.random_range(1..=72);
        place.write(
            &format!("release/videos/video{number}/frames/{frame:08}.jpg"),
            &bomb(&mut rng),
        );
    }
    let report = place
        .guarded(|work| import_release(work, &release_files(&place), &LIMITS, &|_| {}).unwrap());
    all_broken(&report, EACH);
    // And in a shard, whose record says what size they should have, or promises the same.
    let place = Place::new();
    let (_, key, clip) = shards(&place);
    place.guarded_again(|| {
        for number in 0..EACH {
            let mut record: serde_json::Value = {
                let sample = read_sample("shard", &key, &clip).unwrap();
                serde_json::to_value(&sample.record).unwrap()
            };
            record["times"] = serde_json::json!([0.0]);
            record["boxes"] = serde_json::json!([[]]);
            if number % 2 == 0 {
                record["size"] = serde_json::json!([60_000, 60_000]);
            }
            let mut part = raw_entry(
                &format!("{key}.json"),
                b'0',
                "",
                record.to_string().as_bytes(),
            );
            part.extend(raw_entry(
                &format!("{key}.000.jpg"),
                b'0',
                "",
                &bomb(&mut rng),
            ));
            let sample = read_sample("shard", &key, &part);
            let fault = sample
                .map_err(|error| error.to_string())
                .and_then(|sample| sample.frame(0));
            assert!(fault.is_err(), "{number}");
        }
    });
}

#[test]
fn damage_past_the_limit_ends_a_step_with_a_report() {
    let place = Place::new();
    write_release(&place.path("release"), 3);
    place.write("release/videos/video1/frames/00000005.jpg", b"no picture");
    let (folder, files) = (place.path("work"), release_files(&place));
    let work = WorkFolder::open(&folder).unwrap();
    let strict = Limits::default();
    let error = import_release(&work, &files, &strict, &|_| {})
        .unwrap_err()
        .to_string();
    for part in ["1 of 3", "1 %", "video1", "00000005.jpg", "--max-broken"] {
        assert!(error.contains(part), "'{part}' is not in {error}");
    }
    assert!(folder.join("reports/import-release.json").is_file());
    // A second process may not work in the same folder.
    assert!(
        WorkFolder::open(&folder)
            .unwrap_err()
            .to_string()
            .contains("another run")
    );
    drop(work);
    let work = WorkFolder::open(&folder).unwrap();
    let lenient = Limits {
        max_broken: 0.5,
        workers: 1,
    };
    let report = import_release(&work, &files, &lenient, &|_| {}).unwrap();
    assert_eq!((report.made, report.broken()), (2, 1));
}

#[test]
fn shards_are_the_same_whoever_makes_them() {
    let digest = |workers: usize| {
        let place = Place::new();
        let work = imported(&place, 4);
        write_index(&work, &IndexFilters::default(), &EvaluationSets::default()).unwrap();
        let settings = ShardSettings {
            target_bytes: 60_000,
            seed: 3,
        };
        let list = write_shards(&work, &settings, workers, &|_| {}).unwrap();
        assert!(list.shards.len() > 2, "{list:?}");
        let mut hash = Sha256::new();
        for (name, content) in files_below(&place.path("work/shards")) {
            hash.update(name);
            hash.update(content);
        }
        hash.finalize().to_vec()
    };
    assert_eq!(digest(1), digest(3));
}
