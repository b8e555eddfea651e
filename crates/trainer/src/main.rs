use burn::prelude::*;
use burn::tensor::{Distribution, activation};
use emotionclip::*;
use std::time::Instant;
fn main() {
    let dev = Device::flex();
    let ad = dev.clone().autodiff();
    for (img, patch, t, b, width) in [(64,8,1,64,96),(64,8,4,16,96),(48,8,1,64,96),(64,8,1,64,64),(64,16,1,64,96)] {
        let mut c = EmotionClipConfig::nano();
        c.vision.image_size = img; c.vision.patch_size = patch; c.temporal.frames = t; c.vision.width = width;
        if patch == 16 { c.vision.stem = emotionclip::config::PatchStem::Convolution{channels: vec![16,32,64,96]}; }
        let m = c.init(&ad).unwrap();
        
        let x = Tensor::<5>::random([b, t, 3, img, img], Distribution::Normal(0.,1.), &ad);
        let mask = Tensor::<4>::random([b,t,img,img], Distribution::Uniform(0.,1.), &ad);
        let tok = Tensor::<2, Int>::ones([b, 20], &ad) * 5;
        let mut best = [f64::MAX; 4];
        for _ in 0..6 {
            let t0 = Instant::now();
            let v = m.encode_video(x.clone(), mask.clone());
            let _ = v.clone().sum().into_data();
            let t1 = Instant::now();
            let tx = m.encode_text(tok.clone());
            let _ = tx.clone().sum().into_data();
            let t2 = Instant::now();
            let l = activation::log_softmax(emotionclip::model::l2_normalize(v).matmul(emotionclip::model::l2_normalize(tx).transpose()), 1).sum();
            let g = l.backward();
            let t3 = Instant::now();
            drop(g);
            let t4 = Instant::now();
            for (i, d) in [t1-t0, t2-t1, t3-t2, t4-t3].iter().enumerate() { best[i] = best[i].min(d.as_secs_f64()); }
        }
        println!("img {img} patch {patch} T {t} B {b} w {width}: video fwd {:.3} text fwd {:.3} bwd {:.3} opt {:.3} total {:.3} frames/s {:.0} params {}", best[0], best[1], best[2], best[3], best.iter().sum::<f64>(), (b*t) as f64 / best.iter().sum::<f64>(), m.num_params());
    }
}
