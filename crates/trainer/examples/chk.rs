use burn::tensor::*;
use emotionclip::model::l2_normalize;
use emotionclip::preprocess::*;
use emotionclip::zero_shot::*;
use emotionclip::*;
use emotionclip_data::synthetic::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let d = Device::flex();
    let p = Pretrained::from_bytes(std::fs::read(&a[1]).unwrap(), "m", &d).unwrap();
    let z = ZeroShot::new(
        &p,
        &LabelSet::new(
            Emotion::ALL
                .iter()
                .zip(label_texts().unwrap())
                .map(|(e, t)| (e.name().to_owned(), t.clone()))
                .collect(),
        )
        .unwrap(),
    );
    for (name, figs, split) in [
        ("single val", FigureCount::Single, Split::Validation),
        ("multi val", FigureCount::Multi, Split::Validation),
        ("multi train", FigureCount::Multi, Split::Train),
    ] {
        let c = SyntheticCorpus::new(
            SyntheticConfig {
                size: 64,
                frames: 4,
                seed: 77,
                figures: figs,
                restraint: 0.0,
                ..Default::default()
            },
            split,
        )
        .unwrap();
        let (mut r1, mut r2, mut r3) = (0, 0, 0);
        let n = 280;
        for i in 0..n {
            let s = c.sample(i);
            let y = s.emotion.index() as i64;
            let q = p.preprocess.clip(&s.clip, &Crops::Centre).unwrap();
            let f = p.model.encode_frames(
                Tensor::from_data(TensorData::new(q.frames.clone(), [4, 3, 64, 64]), &d),
                Tensor::from_data(TensorData::new(q.masks.clone(), [4, 64, 64]), &d),
            );
            let pk = z
                .similarities(l2_normalize(f.clone().narrow(0, 3, 1)))
                .argmax(1)
                .into_scalar::<i64>();
            let mn = z
                .similarities(l2_normalize(f.mean_dim(0)))
                .argmax(1)
                .into_scalar::<i64>();
            let cl = z
                .similarities(p.embed_clips(&[s.clip]).unwrap())
                .argmax(1)
                .into_scalar::<i64>();
            r1 += (pk == y) as i32;
            r2 += (mn == y) as i32;
            r3 += (cl == y) as i32;
        }
        println!(
            "{name}: peak {:.3} mean {:.3} clip {:.3}",
            r1 as f64 / n as f64,
            r2 as f64 / n as f64,
            r3 as f64 / n as f64
        );
    }
}
