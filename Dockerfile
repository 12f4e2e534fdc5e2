# The daemon and the command line; `--target gpu` adds the worker that computes with LibTorch on a
# graphics card. The scripts that set up CI set up this image too.
FROM rust:1.95-slim AS build
WORKDIR /trendmill
COPY .ci/setup .ci/setup
RUN .ci/setup
COPY . .
RUN cargo build --release --locked

# The worker that computes with LibTorch, and the libraries of PyTorch's own wheel, CUDA included.
FROM build AS build-gpu
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends python3-venv
COPY .ci/setup-libtorch .ci/setup-libtorch
RUN exports=$(.ci/setup-libtorch) && eval "$exports" \
 && cargo build --release --locked --features libtorch --bin trendmill-worker \
 && mkdir /opt/libtorch \
 && find target/torch-venv -name '*.so*' \( -path '*/torch/lib/*' -o -path '*/nvidia/*/lib/*' \) \
    -exec cp --no-dereference --target-directory=/opt/libtorch {} +

FROM debian:trixie-slim AS cpu
# pip is one of the ways in which weights are found; see `trendmill encoders pull --help`.
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends ca-certificates curl python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /trendmill/target/release/trendmill /usr/local/bin/trendmill
COPY pipelines /home/trendmill/pipelines
ENV TRENDMILL_HOME=/home/trendmill
WORKDIR /home/trendmill
VOLUME ["/home/trendmill/data", "/home/trendmill/model_registry"]
EXPOSE 7878
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["curl", "--fail", "--silent", "--show-error", "http://127.0.0.1:7878/readyz"]
# The first signal lets running attempts end.
STOPSIGNAL SIGTERM
ENTRYPOINT ["trendmill"]
CMD ["up"]

FROM cpu AS gpu
COPY --from=build-gpu /opt/libtorch /opt/libtorch
COPY --from=build-gpu /trendmill/target/release/trendmill-worker /usr/local/bin/trendmill-worker
ENV LD_LIBRARY_PATH=/opt/libtorch
ENV TRENDMILL_ENCODERS__DEVICE=libtorch:cuda:0

# What is built where no target is named.
FROM cpu
