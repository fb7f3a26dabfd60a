//! gRPC's protocol of reflection, by which tools learn what a server speaks:
//! <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use grpc_messages::reflection::server_reflection_request::MessageRequest;
use grpc_messages::reflection::server_reflection_response::MessageResponse;
use grpc_messages::reflection::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use grpc_messages::{DESCRIPTORS, FileDescriptorProto, FileDescriptorSet, Message};

use crate::error::{Error, Result, excerpt};
use crate::transport::App;
use crate::transport::grpc::{self, Messages};

/// Version 1 and the one before it, whose messages are the same.
pub(super) const SERVICES: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Of what is not there.
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;

/// Answers each question in its turn.
pub(super) async fn answer(
    State(app): State<App>,
    request: Request,
    services: Vec<&'static str>,
) -> Result<Response> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).map_err(|e| Error::Internal(e.to_string()))?;
    let messages = Messages::of(app, request)?;
    let state = (messages, files.file, services);
    let answers = stream::try_unfold(state, async |(mut messages, files, services)| {
        let Some(message) = messages.next().await? else {
            return Ok(None);
        };
        let asked: ServerReflectionRequest = grpc::small(message)?;
        let found = found(&asked, &files, &services);
        let response = ServerReflectionResponse {
            valid_host: asked.host.clone(),
            original_request: Some(asked),
            message_response: Some(found),
        };
        Ok(Some((
            Bytes::from(response.encode_to_vec()),
            (messages, files, services),
        )))
    });
    Ok(grpc::stream(answers, |_| {}))
}

fn found(
    asked: &ServerReflectionRequest,
    files: &[FileDescriptorProto],
    services: &[&str],
) -> MessageResponse {
    let file = |is_it: &dyn Fn(&FileDescriptorProto) -> bool, name: &str| match files
        .iter()
        .find(|file| is_it(file))
    {
        // No file imports another.
        Some(file) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![file.encode_to_vec().into()],
        }),
        None => refused(NOT_FOUND, format!("there is no {}", excerpt(name))),
    };
    match &asked.message_request {
        Some(MessageRequest::ListServices(_)) => {
            let service = services
                .iter()
                .map(|name| ServiceResponse { name: (*name).into() });
            MessageResponse::ListServicesResponse(ListServiceResponse {
                service: service.collect(),
            })
        }
        Some(MessageRequest::FileByFilename(name)) => file(&|file| file.name() == name, name),
        Some(MessageRequest::FileContainingSymbol(symbol)) => file(&|file| has(file, symbol), symbol),
        _ => refused(UNIMPLEMENTED, "there are no extensions".into()),
    }
}

fn refused(error_code: i32, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse {
        error_code,
        error_message,
    })
}

/// Whether `file` has the service, the method, the message or the enumeration `symbol`, or what contains it.
fn has(file: &FileDescriptorProto, symbol: &str) -> bool {
    let Some(rest) = symbol
        .strip_prefix(file.package())
        .and_then(|rest| rest.strip_prefix('.'))
    else {
        return false;
    };
    let top = rest.split('.').next().unwrap_or_default();
    file.service.iter().any(|service| service.name() == top)
        || file.message_type.iter().any(|message| message.name() == top)
        || file.enum_type.iter().any(|one| one.name() == top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: MessageRequest) -> MessageResponse {
        let files = FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote it");
        let asked = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        found(&asked, &files.file, &["inference.GRPCInferenceService"])
    }

    #[test]
    fn a_file_is_found_by_what_it_has() {
        for symbol in [
            "inference.GRPCInferenceService",
            "inference.GRPCInferenceService.ModelInfer",
            "inference.ModelInferRequest.InferInputTensor",
            "inference.DataType",
            "grpc.reflection.v1alpha.ServerReflection",
        ] {
            let found = ask(MessageRequest::FileContainingSymbol(symbol.into()));
            let MessageResponse::FileDescriptorResponse(files) = found else {
                panic!("{symbol}: {found:?}");
            };
            let file = FileDescriptorProto::decode(files.file_descriptor_proto[0].clone()).expect("a file");
            assert!(symbol.starts_with(file.package()), "{symbol}");
        }
        for symbol in [
            "inference",
            "inference.Nothing",
            "grpc.reflection.v1.DataType",
            "",
        ] {
            let found = ask(MessageRequest::FileContainingSymbol(symbol.into()));
            assert!(
                matches!(found, MessageResponse::ErrorResponse(_)),
                "{symbol}: {found:?}"
            );
        }
    }
}
