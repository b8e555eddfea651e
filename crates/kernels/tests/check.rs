//! The check that a page runs, here on a native adapter: it passes, and it sees what is wrong.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop right there"
)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::{TILES, adapter, kernels};
use emotionclip_kernels::check::{Comparison, compare};

/// Natively a device is waited for inside of the calls, so the first poll is the last.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(value) = polled {
            return value;
        }
    }
}

mod needs_wgsl {
    use super::*;

    #[test]
    fn every_tile_set_passes() {
        let device = adapter();
        for tiles in TILES {
            let found = wait(compare(kernels(&device, tiles), &device)).unwrap();
            assert!(found.len() > 30, "{}", found.len());
            let failed: Vec<&Comparison> = found.iter().filter(|one| !one.passed()).collect();
            assert!(failed.is_empty(), "{tiles:?}: {failed:?}");
            // Rounding is at work: f32 doesn't agree with f64 to the bit.
            assert!(found.iter().any(|one| one.distance > 0.0));
        }
    }
}

#[test]
fn a_distance_that_is_no_number_does_not_pass() {
    let comparison = |distance| Comparison {
        what: String::new(),
        distance,
        tolerance: 1.0,
    };
    assert!(comparison(1.0).passed());
    assert!(!comparison(1.1).passed());
    assert!(!comparison(f32::INFINITY).passed());
    assert!(!comparison(f32::NAN).passed());
}
