# The server with libtorch and the models of this checkout: see docs/image.md.
#
#   make image               CPU
#   make image CUDA=1        with the CUDA libraries
ARG BUILD_BASE=docker.io/library/rust:1-bookworm
ARG RUNTIME_BASE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake nasm python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# From what changes least to what changes most: libtorch, the dependencies, the program. Only the files that a step
# reads are copied before it, so that an edit of the server's code compiles the server's code alone.
COPY scripts/setup scripts/setup
COPY scripts/setup.d scripts/setup.d
ARG CUDA=
RUN CUDA="${CUDA}" scripts/setup && rm -rf .cache/downloads

# cargo wants sources before it compiles dependencies: empty ones will do.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates/interleavings/Cargo.toml crates/interleavings/Cargo.toml
COPY crates/torch-bridge/Cargo.toml crates/torch-bridge/Cargo.toml
RUN mkdir -p src crates/interleavings/src crates/torch-bridge/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs crates/interleavings/src/lib.rs crates/torch-bridge/src/lib.rs \
    && cargo build --release --locked \
    && rm -r src crates

# touch: cargo goes by the time of a file, and these may be older than the empty ones.
COPY crates crates
COPY build.rs ./
COPY src src
RUN find crates src build.rs -type f -exec touch {} + \
    && cargo build --release --locked

# What runs, in the folders that build.rs made the program look for: bin/ and lib/ side by side. Without debugging
# symbols the program is a tenth as large; a panic still names its line.
COPY LICENSE* licenses/
RUN mkdir -p /image/bin /image/lib /image/licenses \
    && objcopy --strip-debug target/release/lucarne /image/bin/lucarne \
    && cp .cache/libtorch/lib/*.so* /image/lib/ \
    && cp -r .cache/libtorch/licenses/. licenses/. /image/licenses/ \
    && /image/bin/lucarne --version

FROM ${RUNTIME_BASE}
COPY --from=build /image /opt/lucarne
# The models of this checkout; a folder mounted here takes their place.
COPY models /models

ENV PATH=/opt/lucarne/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LUCARNE_MODELS=/models \
    LUCARNE_HOST=0.0.0.0 \
    LUCARNE_PORT=8080
# A number, because Kubernetes cannot tell from a name that it is not root. The server writes no file.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD lucarne healthcheck --url "http://127.0.0.1:${LUCARNE_PORT}/readyz"
ENTRYPOINT ["/opt/lucarne/bin/lucarne"]
CMD ["serve"]
