//! The page's module that computes on the processor: `engine-cpu.js` and `engine-cpu_bg.wasm`.

fn main() {
    #[cfg(target_family = "wasm")]
    emotionclip_web::start();
}
