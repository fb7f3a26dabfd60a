//! The protocols that clients speak. Each is a folder: it reads requests, asks the service, and writes answers, with wire
//! types and schemas of its own; none names another.

pub mod grpc;
pub mod oip;
pub mod page;
pub mod torchserve;
pub mod v1;
