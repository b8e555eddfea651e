//! Work on all cores, and on the one thread that a page has.

#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

/// `work` on every task. Each task is one thread's, in no order that anything may depend on; what
/// `init` makes is a thread's own, and its next task gets it as this one left it.
pub(super) fn for_each_init<T: Send, S>(
    tasks: Vec<T>,
    init: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, T) + Sync + Send,
) {
    #[cfg(not(target_family = "wasm"))]
    tasks.into_par_iter().for_each_init(init, work);
    #[cfg(target_family = "wasm")]
    {
        let mut state = init();
        for task in tasks {
            work(&mut state, task);
        }
    }
}

/// `work` on every task, as [`for_each_init`].
pub(super) fn for_each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Sync + Send) {
    for_each_init(tasks, || (), |(), task| work(task));
}
