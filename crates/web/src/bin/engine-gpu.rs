//! The page's module that computes on the visitor's GPU: `engine-gpu.js` and `engine-gpu_bg.wasm`.

fn main() {
    #[cfg(target_family = "wasm")]
    emotionclip_web::start();
}
