//! A training loop of one's own: a small model learns to match clips with their sentences.
//!
//!     cargo run --release -p emotionclip --example training_loop
//!
//! The clips are one colour each and the sentences name it; the sentiment is how much its speaker
//! likes that colour. Everything fits into one batch that the model sees again and again.

use std::error::Error;

use burn::tensor::{Device, Tensor, TensorData};
use emotionclip::EmotionClipConfig;
use emotionclip::loss::SentimentGuidance;
use emotionclip::optim::{AdamW, AdamWConfig, GroupRates, Schedule};
use emotionclip::pretrained::{token_tensor, tokenizer_config};
use emotionclip::tokenizer::{ClipTokenizer, Truncation};

const STEPS: usize = 24;
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.1;

/// Colour of the clip, sentence, and sentiment logits (anger, disgust, fear, joy, neutral, sadness,
/// surprise).
const PAIRS: [([f32; 3], &str, [f32; 7]); 4] = [
    (
        [1.5, -1.0, -1.0],
        "red makes me furious",
        [4.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ),
    (
        [-1.0, 1.5, -1.0],
        "green, how lovely",
        [0.0, 0.0, 0.0, 4.0, 1.0, 0.0, 0.0],
    ),
    (
        [-1.0, -1.0, 1.5],
        "blue makes me cry",
        [0.0, 0.0, 1.0, 0.0, 0.0, 4.0, 0.0],
    ),
    (
        [1.5, 1.5, -1.0],
        "yellow? really?",
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 4.0],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    // Gradients are a property of the device.
    let device = Device::flex().autodiff();
    let mut config = EmotionClipConfig::nano();
    config.vision.image_size = 32;
    let mut model = config.init(&device)?;

    let (batch, time, side) = (
        PAIRS.len(),
        config.temporal.frames,
        config.vision.image_size,
    );
    let pixels: Vec<f32> = PAIRS
        .iter()
        .flat_map(|(colour, ..)| {
            colour
                .iter()
                .flat_map(|&value| vec![value; side * side])
                .collect::<Vec<_>>()
                .repeat(time)
        })
        .collect();
    let frames = Tensor::<5>::from_data(
        TensorData::new(pixels, [batch, time, 3, side, side]),
        &device,
    );
    let masks = Tensor::<4>::ones([batch, time, side, side], &device);
    let tokenizer = ClipTokenizer::new(tokenizer_config(&config))?;
    let tokens = token_tensor(
        &tokenizer.encode_batch(&PAIRS.map(|(_, sentence, _)| sentence), Truncation::KeepEot),
        &device,
    );
    let sentiment = Tensor::<2>::from_floats(PAIRS.map(|(.., sentiment)| sentiment), &device);

    let guidance = SentimentGuidance::default();
    let schedule = Schedule::Cosine {
        warmup_steps: 4,
        final_fraction: 0.1,
    };
    schedule.validate(STEPS)?;
    let mut optimizer = AdamW::new(AdamWConfig::default(), &model);
    for step in 0..STEPS {
        let pairs = model.forward(frames.clone(), masks.clone(), tokens.clone());
        let loss = guidance.loss(
            pairs.video,
            pairs.text,
            model.similarity_scale(),
            sentiment.clone(),
        );
        let mut gradients = loss.backward();
        let learning_rate = schedule.learning_rate(LEARNING_RATE, step, STEPS, STEPS);
        let rates = GroupRates::uniform(learning_rate, WEIGHT_DECAY);
        model = optimizer
            .step(&rates, model, &mut gradients)
            .clamp_logit_scale();
        if step % 4 == 0 || step + 1 == STEPS {
            let loss = loss.try_into_scalar::<f32>()?;
            println!("step {step:>2}  learning rate {learning_rate:.1e}  loss {loss:.4}");
        }
    }
    Ok(())
}
