#!/usr/bin/env bash
# Kills the daemon of the release binary many times in its work: tests/proofs/kills.sh [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
export TRENDMILL_KILLS="${1:-500}" TRENDMILL_KILL_SEED="${2:-$RANDOM}"
echo "seed $TRENDMILL_KILL_SEED"
cargo test --release --test proofs -- kills::a_daemon --nocapture
