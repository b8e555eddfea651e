//! The place of one item in a shuffled list, without shuffling the list.

use crate::synthetic::draws::mix;

/// Rounds of the network. Four make a good permutation of a good round function (Luby and Rackoff
/// 1988).
const ROUNDS: u64 = 4;

/// Where `index` goes in the permutation of `0..count` that `key` stands for. `index` must be below
/// `count`.
///
/// A Feistel network over the next even number of bits; what falls outside is sent through again,
/// on average fewer than four times.
pub(super) fn permuted(key: u64, count: usize, index: usize) -> usize {
    let bits = usize::BITS - count.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2);
    let mask = (1_u64 << half) - 1;
    let mut value = index as u64;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..ROUNDS {
            let scrambled = mix(mix(key.wrapping_add(round)) ^ right) & mask;
            (left, right) = (right, left ^ scrambled);
        }
        value = left << half | right;
        if (value as usize) < count {
            return value as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_taken_once() {
        for count in [1, 2, 3, 7, 64, 65, 389, 1000] {
            for key in 0..5 {
                let mut places: Vec<_> = (0..count).map(|i| permuted(key, count, i)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..count), "{count} under key {key}");
            }
        }
    }

    #[test]
    fn keys_give_different_orders() {
        let order = |key| (0..389).map(|i| permuted(key, 389, i)).collect::<Vec<_>>();
        let (first, second) = (order(1), order(2));
        let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        // One place in 389 agrees by chance; Poisson's chance of ten is 1e-7.
        assert!(same < 10, "{same}");
        let fixed = first.iter().enumerate().filter(|(i, at)| i == *at).count();
        assert!(fixed < 10, "{fixed}");
    }
}
