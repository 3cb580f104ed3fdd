# Shorthands. Each recipe calls only what also works by hand.

# What there is
default:
    @just --list

# Everything that must be green, with what it needs installed first
test *groups:
    ./test {{groups}}

# The quick half: no browser, no other program
quick:
    cargo test --lib --bins
    cargo test --test architecture

# As the style group of ./test holds it
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Licences, bans, sources, advisories (needs cargo-deny and the network)
deny:
    cargo deny check

# Gateway, provider and sample LMS on loopback
demo:
    cargo run --release -- demo

# Every page of our own, as files to look at: target/pages
pages:
    cargo test --lib every_page_is_written_out
