//! Damaged videos, captions, boxes and folders.

use emotionclip_data::captions::Captions;
use emotionclip_data::prepare::{
    BoxSource, BoxSpace, FrameSettings, Inputs, Limits, StepReport, WorkFolder, import_release,
    prepare_frames, prepare_subjects,
};
use integration_tests::corpus::write_release;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::pictures::{bomb_jpeg, bomb_png};
use super::place::{EACH, LIMITS, Place, all_broken, bytes, imported, release_files, seeded};

fn frames(place: &Place) -> StepReport {
    place.guarded(|work| {
        let inputs = Inputs::find(&place.path("videos"), None, None, &place.path("work")).unwrap();
        prepare_frames(work, &inputs, &FrameSettings::default(), &LIMITS, &|_| {}).unwrap()
    })
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
