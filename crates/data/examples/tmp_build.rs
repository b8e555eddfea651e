//! tmp
#![allow(clippy::unwrap_used)]
use emotionclip_data::faces::*;
fn main() {
    let t = std::time::Instant::now();
    let options = BuildOptions {
        faces: "/tmp/faces/fer2013".into(),
        texts: "/tmp/faces/goemotions".into(),
        sentiment: vec![],
        seed: 0,
    };
    let mut stage = "";
    let built = build(&options, &mut |p| {
        if p.stage != stage {
            stage = p.stage;
            eprintln!("{stage} {:?}", t.elapsed());
        }
    })
    .unwrap();
    eprintln!("built {:?}", t.elapsed());
    std::fs::create_dir_all("/tmp/faces/corpus").unwrap();
    for (name, bytes) in &built.files {
        std::fs::write(format!("/tmp/faces/corpus/{name}"), bytes).unwrap();
    }
    for s in &built.manifest.splits {
        eprintln!("{s:?}");
    }
    for d in &built.manifest.dropped {
        eprintln!("{} {:?} {} {}", d.what, d.split, d.reason, d.count);
    }
}
