use emotionclip_data::synthetic::*; use std::io::Write;
fn main() {
    for (name, split, figs, n) in [("train", Split::Train, FigureCount::Mixed, 44800u64), ("test", Split::Test, FigureCount::Multi, 1050)] {
        let c = SyntheticCorpus::new(SyntheticConfig{size:64, frames:4, seed:1, figures: figs, ..Default::default()}, split).unwrap();
        let mut x = std::io::BufWriter::new(std::fs::File::create(format!("/tmp/{name}.x")).unwrap());
        let mut m = std::io::BufWriter::new(std::fs::File::create(format!("/tmp/{name}.m")).unwrap());
        let mut y = std::io::BufWriter::new(std::fs::File::create(format!("/tmp/{name}.y")).unwrap());
        for i in 0..n { let s = c.sample_peak(i); x.write_all(s.clip.frames[0].as_raw()).unwrap(); m.write_all(s.clip.masks[0].as_raw()).unwrap(); y.write_all(&[s.emotion.index() as u8]).unwrap(); }
    }
}
