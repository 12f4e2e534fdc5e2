#!/usr/bin/env bash
# Kills the release binary many times, as `run` and as `up`: tests/proofs/kills.sh [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
TRENDMILL_KILLS="${1:-500}" TRENDMILL_KILL_SEED="${2:-$RANDOM}" \
  cargo test --release --test proofs -- kills:: --nocapture --test-threads 1
