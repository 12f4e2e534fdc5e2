#!/usr/bin/env bash
# Kills the release binary many times: tests/proofs/kills.sh [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
TRENDMILL_KILLS="${1:-500}" TRENDMILL_KILL_SEED="${2:-$RANDOM}" \
  cargo test --release --test proofs -- --exact kills::every_run_ends_and_nothing_is_done_twice --nocapture
