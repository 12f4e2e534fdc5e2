# The command line on CPU. The script that sets up CI sets up this image too.
FROM rust:1.95-slim AS build
WORKDIR /trendmill
COPY .ci/setup .ci/setup
RUN .ci/setup
COPY . .
RUN cargo build --release --locked

FROM debian:trixie-slim
# pip is one of the ways in which weights are found; see `trendmill encoders pull --help`.
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends ca-certificates python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /trendmill/target/release/trendmill /usr/local/bin/trendmill
COPY pipelines /home/trendmill/pipelines
ENV TRENDMILL_HOME=/home/trendmill
WORKDIR /home/trendmill
VOLUME ["/home/trendmill/data", "/home/trendmill/model_registry"]
ENTRYPOINT ["trendmill"]
CMD ["--help"]
