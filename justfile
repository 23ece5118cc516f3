# Each recipe is one command, and works without just.

# The workshop: exercises that answer when you save
workshop:
    cargo run

# Every test of every crate
test:
    cargo test --workspace

# What came of one exercise, or of the current one
check *NAME:
    cargo run -- check {{NAME}}

# Build the book and serve it on this machine
book:
    cargo run -p workshop --features book -- book serve

# Record the timelines again after a change that is meant to show in them
bless:
    BLESS=1 cargo test --workspace --test timelines

# The measurements, some minutes
bench:
    cargo bench -p benches

# Formatting and lints, as CI wants them
lint:
    cargo fmt --all --check && cargo clippy --workspace --all-targets --features workshop/book -- -D warnings

# Everything that CI does
ci:
    bash .ci/run
