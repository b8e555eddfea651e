//! As `engine-cpu`, for browsers that can multiply and add in one instruction: `engine-cpu-relaxed.js`
//! and `engine-cpu-relaxed_bg.wasm`.

fn main() {
    #[cfg(target_family = "wasm")]
    emotionclip_web::start();
}
