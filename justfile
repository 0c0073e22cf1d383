# Short names for the usual commands; each line is what CONTRIBUTING.md explains.

# Everything that must pass before a change lands
check: format-check lint test

format-check:
    cargo fmt --all -- --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test:
    ./tests/run

# Builds and runs the main job on a real folder
demo:
    ./tests/demo

release:
    cargo build --release

# The comparison with other programs, small
compare:
    python3 benches/compare/compare.py --scale 0.1 --runs 3

# Packages, and their tests (root, Debian)
packages:
    cargo build --profile shipped --locked -p duplicati-programs
    packaging/build --binaries target/shipped --out target/packages

test-packages:
    packaging/tests/run
