#!/usr/bin/env bash
# All that is measured on a graphics card, beside PyTorch, in one call.
#
#   benches/gpu.sh build FOLDER                where there is Rust and a wheel of PyTorch with CUDA
#   benches/gpu.sh measure FOLDER [CARD] [DATA]    where there is the card, and a Python with torch
#
# `build` leaves three stripped executables in FOLDER (the program, its worker, the bench of the
# head), which run on any machine with the same version of PyTorch; TRENDMILL_TORCH_VENV names the
# environment that they are built with (see .ci/setup-libtorch). `measure` needs nothing of Rust:
# bge-m3 and ViT-L/16-384 with random weights, in rows per second and as a share of the card's
# matmul rate, then the fusion head's steps per second and validation loss. DATA is the folder with
# `reddit` and `photos`; without it titles and photographs are made up. PYTHON is the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '4,5s/^# *//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
what=$1
folder=$2

case "$what" in
  build)
    mkdir -p "$folder"
    exports=$(TRENDMILL_TORCH_VENV=${TRENDMILL_TORCH_VENV:-target/torch-venv} .ci/setup-libtorch)
    eval "$exports"
    cargo build --release --bin trendmill
    cargo build --release --features libtorch --bin trendmill-worker
    head=$(cargo bench --features libtorch --bench head --no-run 2>&1 \
      | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
    for pair in target/release/trendmill:trendmill target/release/trendmill-worker:trendmill-worker "$head:head"; do
      strip -o "$folder/${pair##*:}" "${pair%:*}"
    done
    # A worker without this would compute on the processor.
    readelf -d "$folder/trendmill-worker" | grep libtorch_cuda
    ;;
  measure)
    card=${3:-0}
    python=${PYTHON:-python3}
    libraries=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent / "lib")')
    export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    data=()
    [ -z "${4:-}" ] || data=(--data "$4")
    "$python" benches/encoders/compare.py --trendmill "$folder/trendmill" --card "$card" "${data[@]}"
    "$python" benches/head/compare.py --head "$folder/head" --device "libtorch:cuda:$card"
    ;;
  *) usage ;;
esac
