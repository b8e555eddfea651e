//! Why shards can't be used.

/// What is wrong with shards or a clip of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// A file can't be read.
    #[error("{file}: {error}; check the path, its permissions and the disk")]
    Io {
        /// The file or address.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file isn't where a store on the network should have it.
    #[error("{file}: {problem}; check the address, or copy all files again")]
    Missing {
        /// The address.
        file: String,
        /// What the server says.
        problem: String,
    },
    /// A store on the network refuses or fails.
    #[error("{file}: {problem}")]
    Remote {
        /// The address.
        file: String,
        /// Why, and what to do.
        problem: String,
    },
    /// There are no shards here.
    #[error("{place}: no shards ({problem}); make them with `trainer data shards`")]
    NoShards {
        /// The folder or address.
        place: String,
        /// What is missing.
        problem: String,
    },
    /// A list or shard is not what it should be.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A clip can't be used.
    #[error("{file}: clip {key}: {problem}")]
    Sample {
        /// The shard.
        file: String,
        /// The clip.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Too many clips are broken.
    #[error(
        "{broken} of {read} clips read are broken, more than {max_percent} % (the last: {last}); run `trainer data check`"
    )]
    TooManyBroken {
        /// Clips that could not be used.
        broken: u64,
        /// Clips that were read.
        read: u64,
        /// What is allowed, in per cent.
        max_percent: f64,
        /// The last of them and what is wrong with it.
        last: String,
    },
}
