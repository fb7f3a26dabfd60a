//! The messages of `proto/`, as Rust has them. A module is a package; what each message means is told in its file.

pub mod wire;

/// The Open Inference Protocol with Triton's extensions.
pub mod inference {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

/// Whether a service serves: gRPC's own protocol of health.
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

/// What a server speaks: gRPC's own protocol of reflection. Version 1 and the one before it have the same messages.
pub mod reflection {
    include!(concat!(env!("OUT_DIR"), "/grpc.reflection.v1.rs"));
}

pub use prost::{DecodeError, Message};
pub use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// All files, an encoded [`FileDescriptorSet`].
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_described() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote it");
        let services = set.file.iter().flat_map(|file| {
            let package = file.package();
            file.service
                .iter()
                .map(move |service| format!("{package}.{}", service.name()))
        });
        let mut services: Vec<_> = services.collect();
        services.sort();
        assert_eq!(
            services,
            [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "inference.GRPCInferenceService",
            ]
        );
    }
}
