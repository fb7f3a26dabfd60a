# The server with libtorch and the models of this checkout: see docs/image.md.
#
#   make image               CPU
#   make image CUDA=1        with the CUDA libraries
#
# Bases by digest, so that a build is the same tomorrow; `docker buildx imagetools inspect NAME:TAG` says today's.
ARG BUILD_BASE=docker.io/library/rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
ARG RUNTIME_BASE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

# Each stage copies only what it reads, from what changes least to what changes most, so that an edit of the server's
# code compiles the server's code alone.
FROM ${BUILD_BASE} AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake nasm python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts/setup scripts/setup
COPY scripts/setup.d scripts/setup.d
RUN scripts/setup && rm -rf .cache/downloads

# cargo wants sources before it compiles dependencies: empty ones will do.
FROM tools AS dependencies
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates/entrypoint/Cargo.toml crates/entrypoint/Cargo.toml
COPY crates/exported-program/Cargo.toml crates/exported-program/Cargo.toml
COPY crates/grpc-messages/Cargo.toml crates/grpc-messages/Cargo.toml
COPY crates/interleavings/Cargo.toml crates/interleavings/Cargo.toml
COPY crates/torch-bridge/Cargo.toml crates/torch-bridge/Cargo.toml
RUN for crate in . crates/*; do \
        mkdir -p $crate/src && echo 'fn main() {}' > $crate/src/main.rs && touch $crate/src/lib.rs || exit 1; \
    done \
    && cargo build --release --locked -p lucarne -p lucarne-entrypoint

# touch, here and below: cargo goes by the time of a file, and these may be older than the empty ones.
FROM dependencies AS bridge
COPY crates crates
RUN rm -f crates/exported-program/src/main.rs crates/grpc-messages/src/main.rs crates/interleavings/src/main.rs \
        crates/torch-bridge/src/main.rs \
    && find crates -type f -exec touch {} + \
    && cargo build --release --locked -p lucarne -p lucarne-entrypoint

FROM bridge AS program
COPY build.rs ./
COPY page page
COPY src src
# Without debugging symbols the program is a tenth as large; a panic still names its line.
RUN find src build.rs -type f -exec touch {} + \
    && cargo build --release --locked -p lucarne -p lucarne-entrypoint \
    && mkdir -p /image/bin \
    && objcopy --strip-debug target/release/lucarne /image/bin/lucarne \
    && objcopy --strip-debug target/release/lucarne-entrypoint /image/bin/lucarne-entrypoint \
    && /image/bin/lucarne --version

# One program serves both: it names libtorch.so, and that names the CUDA libraries where they stand beside it.
FROM tools AS libraries
ARG CUDA=
RUN CUDA="${CUDA}" scripts/setup \
    && rm -rf .cache/downloads \
    && mkdir -p /image/lib \
    && cp .cache/libtorch/lib/*.so* /image/lib/ \
    && chmod -R u=rwX,go=rX /image

FROM dependencies AS notices
COPY --from=libraries /src/.cache/libtorch/licenses /libtorch/licenses
COPY --from=libraries /image/lib /libtorch/lib
COPY scripts/notices scripts/notices
COPY LICENSE LICENSE-APACHE LICENSE-MIT ./
RUN scripts/notices /libtorch /image/licenses \
    && cp LICENSE LICENSE-APACHE LICENSE-MIT /image/licenses/ \
    && chmod -R u=rwX,go=rX /image

# What is not made by a compiler, with modes that do not hang on those of the checkout.
FROM ${BUILD_BASE} AS data
ARG REVISION=
COPY deploy/image/defaults.toml /image/etc/defaults.toml
COPY models /models
RUN echo "${REVISION}" > /image/etc/revision \
    && rm -rf /models/recipes \
    && chmod -R u=rwX,go=rX /image /models

# There is no shell in it, and nothing that runs as root.
FROM ${RUNTIME_BASE}
COPY --from=libraries /image /opt/lucarne
COPY --from=notices /image /opt/lucarne
# The models of this checkout; a folder mounted here takes their place.
COPY --from=data /models /models
COPY --from=program /image /opt/lucarne
COPY --from=data /image /opt/lucarne

ARG REVISION=
LABEL org.opencontainers.image.title="Lucarne" \
      org.opencontainers.image.description="Serves trained PyTorch vision models over HTTP, and shows where they looked." \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
# What settings the image has of its own stand in etc/defaults.toml: a variable here would win over a file of the user's.
# The variables of NVIDIA let its container runtime in where an image with the CUDA libraries gets a GPU.
ENV PATH=/opt/lucarne/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /
# A number, because Kubernetes cannot tell from a name that it is not root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/lucarne/bin/lucarne-entrypoint", "healthcheck"]
ENTRYPOINT ["/opt/lucarne/bin/lucarne-entrypoint"]
CMD ["serve"]
