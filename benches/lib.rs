//! Measurements: `cargo bench -p benches`. One file a chapter; `results/` keeps what came of them, where and when.
