//! Measurements: `cargo bench -p benches`. One file a chapter.
