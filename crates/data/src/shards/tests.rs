//! Shards as a corpus, from a folder and from a server.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use emotionclip::Emotion;
use emotionclip::preprocess::{Letterbox, Preprocess};
use image::{Rgb, RgbImage};

use super::*;
use crate::pairs::PairedCorpus;
use crate::prepare::BoxSpace;
use crate::synthetic::Split;

const FRAMES: usize = 20;

/// Shards of so many clips of three videos, two clips a shard.
fn write(folder: &Path, clips: usize) {
    let frame = |clip: usize, number: usize| {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        let shade = |x: u32| (10 * number as u32 + x) as u8;
        RgbImage::from_fn(48, 32, |x, _| Rgb([shade(x), clip as u8 * 9, 7]))
            .write_to(&mut jpeg, image::ImageFormat::Jpeg)
            .unwrap();
        jpeg.into_inner()
    };
    let samples: Vec<ShardSample> = (0..clips)
        .map(|clip| {
            let mut sentiment = [0.0; Emotion::COUNT];
            sentiment[clip % Emotion::COUNT] = 2.0;
            let video_id = format!("v{}", clip % 3);
            ShardSample {
                record: SampleRecord {
                    key: format!("{video_id}-{clip:05}"),
                    video_id,
                    text: format!("words of {clip}"),
                    start: 1.0,
                    end: 3.5,
                    sentiment,
                    neutral: 0.01,
                    size: [48, 32],
                    box_space: BoxSpace::Frame,
                    times: (0..FRAMES).map(|number| number as f64 / 8.0).collect(),
                    // The left half in even frames, and somebody who is hardly there.
                    boxes: (0..FRAMES)
                        .map(|number| match number % 2 {
                            0 => vec![[0.0, 0.0, 24.0, 32.0, 0.9], [0.0, 0.0, 48.0, 32.0, 0.3]],
                            _ => Vec::new(),
                        })
                        .collect(),
                },
                frames: (0..FRAMES).map(|number| frame(clip, number)).collect(),
            }
        })
        .collect();
    write_samples(folder, &samples, 2).unwrap();
}

fn sampling() -> ShardSampling {
    ShardSampling {
        frames: 8,
        seed: 5,
        buffer: 4,
        random_frames: true,
        person_score: 0.5,
        letterbox: Letterbox::Corrected,
        max_broken: 0.2,
        preprocess: Preprocess::square(32),
    }
}

fn corpus(folder: &Path, split: Split, sampling: ShardSampling) -> ShardCorpus {
    let set = ShardSet::open(folder).unwrap();
    let split = ShardSplit::new(set, split, 0.3).unwrap();
    ShardCorpus::new(Arc::new(split), sampling).unwrap()
}

#[test]
fn an_epoch_has_every_training_clip_once_and_goes_on_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 12);
    let train = corpus(folder.path(), Split::Train, sampling());
    let validation = corpus(folder.path(), Split::Validation, sampling());
    let keys = |corpus: &ShardCorpus, from: u64| -> Vec<String> {
        let epoch = from..from + corpus.epoch_clips() as u64;
        epoch.map(|index| corpus.pair(index).unwrap().key).collect()
    };
    let first = keys(&train, 0);
    let count = first.len();
    let distinct: BTreeSet<&String> = first.iter().collect();
    assert_eq!(distinct.len(), count, "{first:?}");
    assert_ne!(
        first,
        keys(&train, count as u64),
        "another epoch, another order"
    );
    // Videos are in one split only.
    let held = keys(&validation, 0);
    assert_eq!(count + held.len(), 12);
    let video = |key: &String| key.split('-').next().map(str::to_owned);
    let videos: BTreeSet<_> = first.iter().map(video).collect();
    assert!(held.iter().all(|key| !videos.contains(&video(key))));
    // A run that starts in the middle sees what the whole one saw there.
    let resumed = corpus(folder.path(), Split::Train, sampling());
    for index in [5, 3 * count as u64 + 1] {
        let (a, b) = (train.pair(index).unwrap(), resumed.pair(index).unwrap());
        assert_eq!((a.key, a.text), (b.key, b.text));
        assert_eq!(a.clip.frames, b.clip.frames);
    }
}

#[test]
fn pairs_are_clips_with_masks_texts_and_sentiments() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 12);
    let corpus = corpus(
        folder.path(),
        Split::Train,
        ShardSampling {
            random_frames: false,
            ..sampling()
        },
    );
    for index in 0..4 {
        let pair = corpus.pair(index).unwrap();
        assert_eq!((pair.clip.frames.len(), pair.clip.masks.len()), (8, 8));
        // 48 × 32 keeps its size, spread frames are 0, 2, 5, 8, 10, 13, 16, 19.
        let covered: Vec<bool> = pair
            .clip
            .masks
            .iter()
            .map(|mask| mask.get_pixel(5, 5).0[0] == 255)
            .collect();
        assert_eq!(covered, [true, true, false, true, true, false, true, false]);
        let right = pair
            .clip
            .masks
            .iter()
            .all(|mask| mask.get_pixel(40, 5).0[0] == 0);
        assert!(right, "a box of a low score is nobody");
        assert_eq!(corpus.spoken(index), (pair.text.as_str(), pair.sentiment));
        assert_eq!(corpus.emotion(index), pair.emotion);
        assert_eq!(pair.sentiment[pair.emotion.index()], 2.0);
        assert!(corpus.alike_count(pair.emotion) > 0);
        assert!(corpus.alike(pair.emotion, 0).starts_with("words of"));
        assert_eq!(corpus.peak_pair(index).unwrap().clip.frames.len(), 1);
    }
    // Drawn frames are eight different ones in order.
    let drawn = self::corpus(folder.path(), Split::Train, sampling());
    let shades: Vec<u8> = drawn
        .pair(2)
        .unwrap()
        .clip
        .frames
        .iter()
        .map(|frame| frame.get_pixel(0, 0).0[0])
        .collect();
    assert!(
        shades.windows(2).all(|pair| pair[0] < pair[1]),
        "{shades:?}"
    );
}

/// Spoils the record of a clip.
fn damage(folder: &Path, set: &ShardSet, index: usize) {
    let sample = &set.samples()[index];
    let path = folder.join(&set.list().shards[sample.shard].file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[sample.offset as usize + 512..][..40].fill(b'!');
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_broken_clip_is_passed_over_and_named_until_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 12);
    let set = ShardSet::open(folder.path()).unwrap();
    let train = corpus(folder.path(), Split::Train, sampling());
    let clips = ShardSplit::new(set.clone(), Split::Train, 0.3)
        .unwrap()
        .clips()
        .to_vec();
    damage(folder.path(), &set, clips[0]);
    let epoch = train.epoch_clips() as u64;
    let keys: BTreeSet<String> = (0..epoch)
        .map(|index| train.pair(index).unwrap().key)
        .collect();
    assert_eq!(keys.len() as u64, epoch - 1);
    let skipped = train.skipped();
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert!(
        skipped[0].contains(&set.samples()[clips[0]].key),
        "{skipped:?}"
    );
    assert_eq!(
        check(&set, true, 1, &|_| {}).unwrap().faults,
        2,
        "its checksum and its record"
    );
    damage(folder.path(), &set, clips[1]);
    let failed = (0..epoch)
        .find_map(|index| train.pair(index).err())
        .unwrap()
        .to_string();
    assert!(
        failed.contains("2 of") && failed.contains("trainer data check"),
        "{failed}"
    );
}

#[test]
fn a_clip_that_stands_in_for_a_broken_one_brings_its_own_label() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 12);
    let set = ShardSet::open(folder.path()).unwrap();
    let train = corpus(folder.path(), Split::Train, sampling());
    let split = ShardSplit::new(set.clone(), Split::Train, 0.3).unwrap();
    let broken = split.clips()[0];
    let shard = folder
        .path()
        .join(&set.list().shards[set.samples()[broken].shard].file);
    let whole = std::fs::read(&shard).unwrap();
    damage(folder.path(), &set, broken);
    let mut replaced = Vec::new();
    for index in 0..4 * train.epoch_clips() as u64 {
        let in_place = train.spoken(index).0.to_owned();
        let pair = train.pair(index).unwrap();
        assert_eq!(train.spoken(index), (pair.text.as_str(), pair.sentiment));
        assert_eq!(train.emotion(index), pair.emotion);
        if in_place != pair.text {
            assert_eq!(in_place, set.samples()[broken].text);
            replaced.push(index);
        }
    }
    assert_eq!(replaced.len(), 4, "once an epoch");
    // Where it can be read after all, it is itself again.
    std::fs::write(shard, whole).unwrap();
    for index in replaced {
        let pair = train.peak_pair(index).unwrap();
        assert_eq!(pair.text, set.samples()[broken].text);
        assert_eq!(train.spoken(index).0, pair.text);
        assert_eq!(train.emotion(index), pair.emotion);
    }
}

#[test]
fn lists_that_do_not_belong_to_the_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 4);
    let list = std::fs::read_to_string(folder.path().join(LIST)).unwrap();
    let samples = std::fs::read_to_string(folder.path().join(SAMPLES)).unwrap();
    let refused = |list: &str, samples: &str| {
        std::fs::write(folder.path().join(LIST), list).unwrap();
        std::fs::write(folder.path().join(SAMPLES), samples).unwrap();
        ShardSet::open(folder.path()).unwrap_err().to_string()
    };
    assert!(refused("{", &samples).contains("no list"));
    assert!(
        refused(&list.replace("\"version\":1", "\"version\":9"), &samples).contains("version 9")
    );
    let escaping = list.replace("shard-000000.tar", "../../secret.tar");
    assert!(refused(&escaping, &samples).contains("no file beside it"));
    assert!(refused(&list, &samples.replace("words", "other")).contains("SHA-256"));
    assert!(
        ShardSet::open(&folder.path().join("nowhere"))
            .unwrap_err()
            .to_string()
            .contains("no shards")
    );
    std::fs::write(folder.path().join(LIST), &list).unwrap();
    std::fs::write(folder.path().join(SAMPLES), &samples).unwrap();
    assert_eq!(ShardSet::open(folder.path()).unwrap().samples().len(), 4);
}

/// Serves the files of a folder, answering ranges if `ranges`; every third request fails.
fn serve(folder: PathBuf, ranges: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(count @ 1..) => request.extend(&part[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let path = request
                .split(' ')
                .nth(1)
                .unwrap_or("/")
                .trim_start_matches('/')
                .to_owned();
            let range = request.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                let (from, to) = line.strip_prefix("range: bytes=")?.split_once('-')?;
                Some((
                    from.parse::<usize>().ok()?,
                    to.trim().parse::<usize>().ok()?,
                ))
            });
            let (status, body) = match std::fs::read(folder.join(path)) {
                _ if number % 3 == 1 => ("503 Service Unavailable", Vec::new()),
                Err(_) => ("404 Not Found", Vec::new()),
                Ok(bytes) => match range.filter(|_| ranges) {
                    Some((from, to)) => ("206 Partial Content", bytes[from..=to].to_vec()),
                    None => ("200 OK", bytes),
                },
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // A client that has seen enough goes away.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn a_server_gives_what_the_folder_holds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 6);
    let address = serve(folder.path().to_owned(), true);
    let (here, there) = (
        ShardSet::open(folder.path()).unwrap(),
        ShardSet::open(Path::new(&address)).unwrap(),
    );
    assert_eq!(here.samples(), there.samples());
    for index in 0..6 {
        let (a, b) = (here.read(index).unwrap(), there.read(index).unwrap());
        assert_eq!((a.record, a.frames), (b.record, b.frames));
    }
    assert_eq!(check(&there, true, 1, &|_| {}).unwrap().faults, 0);
    let missing = ShardSet::open(Path::new(&format!("{address}/nowhere")))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("no shards") && missing.contains("404"),
        "{missing}"
    );
    let without = serve(folder.path().to_owned(), false);
    let without = ShardSet::open(Path::new(&without)).unwrap();
    assert!(without.read(3).unwrap_err().to_string().contains("ranges"));
}
