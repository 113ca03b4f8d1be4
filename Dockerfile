# The operator's image. Build it with: docker build -t YOUR-REGISTRY/firstaid:0.1.0 .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin firstaid

FROM debian:bookworm-slim
COPY --from=build /src/target/release/firstaid /usr/local/bin/firstaid
# Whom the webhook of notifications must have its certificate from. The API server's is not among them.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A number, so that `runAsNonRoot` can be checked without looking into the image.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/firstaid"]
CMD ["operator"]
