//! What is read is what the folder holds, in the same order.

use std::collections::BTreeSet;
use std::sync::Arc;

use emotionclip::preprocess::{Letterbox, Preprocess};
use emotionclip_data::pairs::PairedCorpus;
use emotionclip_data::shards::{
    ShardCorpus, ShardOrder, ShardSampling, ShardSet, ShardSplit, ShardStore, check, stats,
};
use emotionclip_data::synthetic::Split;
use integration_tests::s3::{PUBLIC, S3Server, settings};

use super::{ADDRESS, open, server, shards, store};

fn corpus(set: ShardSet) -> ShardCorpus {
    let sampling = ShardSampling {
        frames: 8,
        seed: 5,
        buffer: 3,
        random_frames: true,
        person_score: 0.5,
        letterbox: Letterbox::Corrected,
        max_broken: 0.0,
        preprocess: Preprocess::square(32),
    };
    let split = ShardSplit::new(set, Split::Train, 0.3).unwrap();
    ShardCorpus::new(Arc::new(split), sampling).unwrap()
}

#[test]
fn a_bucket_gives_what_the_folder_holds() {
    let server = server();
    let (here, there) = (ShardSet::open(shards()).unwrap(), open(&server.address()));
    assert!(here.list().shards.len() >= 4, "{:?}", here.list());
    assert_eq!(here.list(), there.list());
    assert_eq!(here.samples(), there.samples());
    for index in 0..here.samples().len() {
        let (a, b) = (here.read(index).unwrap(), there.read(index).unwrap());
        assert_eq!((a.record, a.frames), (b.record, b.frames));
    }
    let checked = check(&there, true, 2, &|_| {}).unwrap();
    assert_eq!(checked, check(&here, true, 2, &|_| {}).unwrap());
    assert_eq!(checked.faults, 0, "{checked:?}");
    let of = |set| stats(set, 1, &|_| {}).unwrap();
    assert_eq!(of(&here), of(&there));
}

#[test]
fn a_run_that_stopped_in_an_epoch_goes_on_with_the_same_pairs() {
    let server = server();
    let (here, there) = (
        corpus(ShardSet::open(shards()).unwrap()),
        corpus(open(&server.address())),
    );
    let clips = there.epoch_clips() as u64;
    let same = |a: &ShardCorpus, b: &ShardCorpus, index| {
        let (a, b) = (a.pair(index).unwrap(), b.pair(index).unwrap());
        assert_eq!((&a.key, a.text), (&b.key, b.text));
        assert_eq!((a.clip.frames, a.clip.masks), (b.clip.frames, b.clip.masks));
        a.key
    };
    let keys: Vec<String> = (0..2 * clips)
        .map(|index| same(&here, &there, index))
        .collect();
    let (first, second) = keys.split_at(clips as usize);
    assert_ne!(first, second, "another epoch, another order");
    // Opened again, as after a crash in the middle of the second epoch.
    let again = corpus(open(&server.address()));
    for index in clips + clips / 2..2 * clips {
        same(&again, &there, index);
    }
}

#[test]
fn ranks_and_workers_read_every_clip_once() {
    let server = server();
    let here = ShardSet::open(shards()).unwrap();
    let count = here.samples().len();
    // Whole shards are dealt to the first, single clips to the second.
    for (ranks, workers) in [(2, 2), (3, 3)] {
        let order = |set: &ShardSet, rank, worker| {
            let clips = set.samples().iter().enumerate();
            ShardOrder::new(clips.map(|(clip, sample)| (clip, sample.shard)), 7, 3)
                .and_then(|order| order.split([rank, ranks], [worker, workers]))
                .unwrap()
                .epoch(1)
        };
        let readers: Vec<_> = (0..ranks)
            .flat_map(|rank| (0..workers).map(move |worker| (rank, worker)))
            .collect();
        // Each has a connection of its own, and all read at once.
        let read: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = readers
                .iter()
                .map(|&(rank, worker)| {
                    let endpoint = server.address();
                    scope.spawn(move || {
                        let set = open(&endpoint);
                        let keys = order(&set, rank, worker).into_iter();
                        keys.map(|clip| set.read(clip).unwrap().record.key)
                            .collect()
                    })
                })
                .collect();
            let done = threads.into_iter().map(|thread| thread.join().unwrap());
            done.collect()
        });
        for (keys, &(rank, worker)) in read.iter().zip(&readers) {
            let expected: Vec<_> = order(&here, rank, worker)
                .into_iter()
                .map(|clip| here.samples()[clip].key.clone())
                .collect();
            assert_eq!(keys, &expected);
        }
        let all: Vec<&String> = read.iter().flatten().collect();
        assert_eq!(all.len(), count);
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), count);
    }
}

#[test]
fn an_object_of_several_parts_is_read_whole_and_in_ranges() {
    let server = server();
    // Two whole parts of 8 MiB and a little.
    let content: Vec<u8> = (0..(16 << 20) + 777_u32)
        .map(|byte| (byte / 251) as u8)
        .collect();
    server.put("corpora", "big/whole.bin", &content);
    let store = store(&server.address(), "s3://corpora/big/", &[]).unwrap();
    assert_eq!(store.place(), "s3://corpora/big");
    let before = server.asked();
    let read = store.read("whole.bin", content.len() as u64).unwrap();
    assert!(read == content);
    assert_eq!(server.asked() - before, 3);
    let range = (8 << 20) - 5..(16 << 20) + 5;
    let part = store.read_range("whole.bin", range.clone()).unwrap();
    assert!(part == content[range.start as usize..range.end as usize]);
    assert!(store.read_range("whole.bin", 9..9).unwrap().is_empty());
    let error = store.read("whole.bin", 1 << 20).unwrap_err();
    super::says(&error, &["whole.bin", "more than 1 MiB"]);
}

#[test]
fn a_bucket_for_everybody_needs_no_key() {
    let server = S3Server::start();
    server.put_folder(PUBLIC, "talks", shards());
    let variables = [
        ("AWS_ENDPOINT_URL", server.address()),
        ("AWS_ALLOW_HTTP", "1".to_owned()),
        ("AWS_SKIP_SIGNATURE", "True".to_owned()),
    ];
    let unsigned = |address: &str| {
        let settings = settings(&variables).unwrap();
        let store = emotionclip_data::shards::S3Store::new(address, &settings).unwrap();
        ShardSet::of_store(Arc::new(store))
    };
    let set = unsigned("s3://public/talks").unwrap();
    assert_eq!(set.samples(), ShardSet::open(shards()).unwrap().samples());
    set.read(0).unwrap();
    let refused = unsigned(ADDRESS).unwrap_err();
    super::says(&refused, &["access refused", "403, AccessDenied"]);
}

#[test]
fn shards_can_be_read_inside_an_asynchronous_program() {
    let server = server();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let endpoint = server.address();
    let key = runtime.block_on(async { open(&endpoint).read(0).unwrap().record.key });
    assert_eq!(key, ShardSet::open(shards()).unwrap().samples()[0].key);
}
