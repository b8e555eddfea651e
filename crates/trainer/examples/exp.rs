use burn::tensor::*; use burn::module::Module;
use emotionclip::*; use emotionclip::optim::*; use emotionclip::preprocess::*; use emotionclip::model::l2_normalize; use emotionclip::pretrained::*;
use emotionclip_data::synthetic::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let what = a[1].as_str(); let lr: f64 = a[2].parse().unwrap(); let figs = match a[3].as_str() {"single"=>FigureCount::Single,"multi"=>FigureCount::Multi,_=>FigureCount::Mixed}; let steps: usize = a[4].parse().unwrap();
    let dev = Device::flex(); let ad = dev.clone().autodiff();
    let mut c = EmotionClipConfig::nano(); let mut restraint=0.25f32; let mut b=64usize; let mut b2=0.98; let mut scale=14.0; let mut cur=0usize;
    for kv in &a[5..] { let (k,v)=kv.split_once('=').unwrap(); match k { "img"=>c.vision.image_size=v.parse().unwrap(), "layers"=>c.vision.layers=v.parse().unwrap(), "width"=>c.vision.width=v.parse().unwrap(), "heads"=>c.vision.heads=v.parse().unwrap(), "patch"=>c.vision.patch_size=v.parse().unwrap(), "stem"=>c.vision.stem=emotionclip::config::PatchStem::Convolution{layers: v.split(',').map(|q|{let (a,b)=q.split_once('x').unwrap();[a.parse().unwrap(),b.parse().unwrap()]}).collect()}, "cur"=>cur=v.parse().unwrap(), "restraint"=>restraint=v.parse().unwrap(), "b"=>b=v.parse().unwrap(), "b2"=>b2=v.parse().unwrap(), "scale"=>scale=v.parse().unwrap(), "init"=>if v=="random"{c.vision.init=emotionclip::config::VisionInit::Random}, _=>panic!() } }
    let model = c.init(&ad).unwrap();
    let mut p = Pretrained::new(model, default_preprocess(&c)).unwrap();
    let mut opt = AdamW::new(AdamWConfig{beta_1:0.9,beta_2:b2,epsilon:1e-6}, &p.model);
    let corpus = SyntheticCorpus::new(SyntheticConfig{size: c.vision.image_size as u32, frames:4, seed:1, figures: figs, restraint, ..Default::default()}, Split::Train).unwrap();
    let easy = SyntheticCorpus::new(SyntheticConfig{size: c.vision.image_size as u32, frames:4, seed:1, figures: FigureCount::Single, restraint, ..Default::default()}, Split::Train).unwrap();
    let centre = l2_normalize(Tensor::<2>::random([7, c.embed_dim], Distribution::Normal(0.,1.), &ad));
    let mut acc = 0.0; let t0 = Instant::now();
    for s in 0..steps {
        let samples: Vec<_> = (0..b).map(|i| if s < cur {&easy} else {&corpus}.sample_peak((s*b+i) as u64)).collect();
        let y: Vec<i32> = samples.iter().map(|s| s.emotion.index() as i32).collect();
        let emb = if what == "text" {
            let rows: Vec<_> = samples.iter().map(|s| p.tokenizer.encode(&s.text, tokenizer::Truncation::KeepEot)).collect();
            p.model.encode_text(token_tensor(&rows, &ad))
        } else {
            let mut f = vec![]; let mut m = vec![];
            for s in &samples { let q = p.preprocess.clip(&s.clip, &Crops::Centre).unwrap(); f.extend_from_slice(&q.frames); m.extend_from_slice(&q.masks); }
            let z = c.vision.image_size;
            p.model.encode_frames(Tensor::from_data(TensorData::new(f,[b,3,z,z]),&ad), Tensor::from_data(TensorData::new(m,[b,z,z]),&ad))
        };
        let logits = l2_normalize(emb).matmul(centre.clone().transpose()) * scale;
        let yt = Tensor::<1,Int>::from_data(TensorData::new(y.clone(),[b]), &ad).reshape([b,1]);
        let lp = activation::log_softmax(logits.clone(), 1);
        let loss = lp.gather(1, yt).mean().neg();
        let pred: Vec<i32> = logits.inner().argmax(1).into_data().iter::<i32>().collect();
        acc = 0.9*acc + 0.1*(pred.iter().zip(&y).filter(|(a,b)| a==b).count() as f64 / b as f64);
        let mut g = loss.backward();
        let warm = ((s+1) as f64 / 40.0).min(1.0) * (0.05+0.95*0.5*(1.0+(3.14159*s as f64/steps as f64).cos()));
        p.model = opt.step(&GroupRates::uniform(lr*warm, 0.05), p.model, &mut g);
        if s % 25 == 24 { println!("{} loss {:.3} acc {:.3} t {:.0}", s+1, loss.inner().into_scalar::<f32>(), acc, t0.elapsed().as_secs_f64()); }
    }
    let _ = p.model.num_params();
}
