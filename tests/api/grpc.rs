//! gRPC: the same answers as over REST, and statuses that say what was wrong.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, Version};
use grpc_messages::Message;
use grpc_messages::health::{HealthCheckRequest, HealthCheckResponse};
use grpc_messages::inference::infer_parameter::ParameterChoice;
use grpc_messages::inference::model_infer_request::InferInputTensor;
use grpc_messages::inference::{
    InferParameter, ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse,
};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{get, photo, post, router, series_value};

const SERVICE: &str = "inference.GRPCInferenceService";

/// What came back.
struct Said {
    http: StatusCode,
    /// In the trailers, or in the head of an answer that is nothing else.
    status: HeaderMap,
    messages: Vec<Bytes>,
}

impl Said {
    fn code(&self) -> &str {
        self.status["grpc-status"].to_str().expect("ASCII")
    }

    fn text(&self) -> &str {
        self.status
            .get("grpc-message")
            .map_or("", |text| text.to_str().expect("ASCII"))
    }

    fn message<M: Message + Default>(&self) -> M {
        assert_eq!((self.code(), self.messages.len()), ("0", 1), "{}", self.text());
        M::decode(self.messages[0].clone()).expect("such a message")
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat()
}

async fn send(path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Said {
    let mut request = Request::post(path).version(Version::HTTP_2);
    if headers.iter().all(|(name, _)| *name != "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let response = router().oneshot(request).await.expect("routers do not fail");
    let (parts, body) = response.into_parts();
    let whole = body.collect().await.expect("a whole body");
    let trailers = whole.trailers().cloned();
    let (mut bytes, mut messages) = (whole.to_bytes(), Vec::new());
    while trailers.is_some() && !bytes.is_empty() {
        let prefix = bytes.split_to(5);
        let length = u32::from_be_bytes(prefix[1..].try_into().expect("four"));
        messages.push(bytes.split_to(length as usize));
    }
    Said {
        http: parts.status,
        status: trailers.unwrap_or(parts.headers),
        messages,
    }
}

async fn call(method: &str, message: &impl Message) -> Said {
    send(
        &format!("/{SERVICE}/{method}"),
        &[],
        frame(&message.encode_to_vec()),
    )
    .await
}

fn of_photo(model: &str, name: &str) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.into(),
        id: "seven".into(),
        inputs: vec![InferInputTensor {
            name: "image".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            ..Default::default()
        }],
        raw_input_contents: vec![{
            let photo = photo(name);
            [&(photo.len() as u32).to_le_bytes()[..], &photo].concat().into()
        }],
        ..Default::default()
    }
}

fn text(value: &str) -> InferParameter {
    InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(value.into())),
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}

#[tokio::test]
async fn an_answer_is_that_of_rest() {
    let answer: ModelInferResponse = call("ModelInfer", &of_photo("mobilenet_v2", "coffee.jpg"))
        .await
        .message();
    assert_eq!(
        (answer.id.as_str(), answer.model_version.as_str()),
        ("seven", "1")
    );
    assert_eq!(answer.outputs[0].name, "scores");
    assert_eq!(answer.outputs[0].shape, [1, 1000]);
    let scores = floats(&answer.raw_output_contents[0]);
    let own = post(
        "/v1/models/mobilenet_v2/predict?top_k=1000",
        &[],
        photo("coffee.jpg"),
    )
    .await
    .json();
    for class in own["predictions"][0]["classes"].as_array().expect("classes") {
        let index = class["class_id"].as_u64().expect("an index") as usize;
        let score = class["score"].as_f64().expect("a score");
        assert!((f64::from(scores[index]) - score).abs() < 1e-6, "{class}");
    }
}

#[tokio::test]
async fn an_explanation_comes_as_further_outputs() {
    let mut request = of_photo("mobilenet_v2", "coffee.jpg");
    request.parameters.insert("explain".into(), text("grad_cam"));
    let answer: ModelInferResponse = call("ModelInfer", &request).await.message();
    let at = answer
        .outputs
        .iter()
        .position(|output| output.name == "saliency")
        .expect("a map");
    let map = floats(&answer.raw_output_contents[at]);
    let own = post(
        "/v1/models/mobilenet_v2/explain?method=grad_cam",
        &[],
        photo("coffee.jpg"),
    )
    .await
    .json();
    let own: Vec<f32> =
        serde_json::from_value(own["explanations"][0]["map"]["data"].clone()).expect("numbers");
    assert_eq!(map.len(), own.len());
    assert!(map.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[tokio::test]
async fn what_rest_tells_of_models_is_told_here() {
    let name = || "mobilenet_v2".to_owned();
    let asked = ModelMetadataRequest {
        name: name(),
        ..Default::default()
    };
    let metadata: ModelMetadataResponse = call("ModelMetadata", &asked).await.message();
    let own = get("/v2/models/mobilenet_v2").await.json();
    assert_eq!(json!(metadata.inputs[0].shape), own["inputs"][0]["shape"]);
    assert_eq!(json!(metadata.versions), own["versions"]);
    let asked = ModelConfigRequest {
        name: name(),
        ..Default::default()
    };
    let config: ModelConfigResponse = call("ModelConfig", &asked).await.message();
    let config = config.config.expect("a configuration");
    let own = get("/v2/models/mobilenet_v2/config").await.json();
    assert_eq!(json!(config.max_batch_size), own["max_batch_size"]);
    assert_eq!(
        config.input[0].data_type().as_str_name(),
        own["input"][0]["data_type"]
    );
    assert_eq!(
        config.instance_group[0].kind().as_str_name(),
        own["instance_group"][0]["kind"]
    );
    let statistics: ModelStatisticsResponse = call("ModelStatistics", &ModelStatisticsRequest::default())
        .await
        .message();
    assert!(
        statistics
            .model_stats
            .iter()
            .any(|model| model.name == "mobilenet_v2")
    );
    let index: RepositoryIndexResponse = call("RepositoryIndex", &RepositoryIndexRequest::default())
        .await
        .message();
    let own = post("/v2/repository/index", &[], "").await.json();
    assert_eq!(index.models.len(), own.as_array().expect("models").len());
    for (name, is_ready) in [("mobilenet_v2", true), ("nobody", false)] {
        let asked = ModelReadyRequest {
            name: name.into(),
            ..Default::default()
        };
        let found: ModelReadyResponse = call("ModelReady", &asked).await.message();
        assert_eq!(found.ready, is_ready, "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_has_a_status_and_is_said() {
    let infer = format!("/{SERVICE}/ModelInfer");
    let whole = of_photo("mobilenet_v2", "coffee.jpg").encode_to_vec();
    let nobody = ModelInferRequest {
        model_name: "nobody".into(),
        ..Default::default()
    };
    let deadline = [("grpc-timeout", "1n")];
    let wrong = [("grpc-timeout", "soon")];
    let brotli = [("grpc-encoding", "br")];
    let flagged = [&[1], &frame(&whole)[1..]].concat();
    for (headers, body, code, word) in [
        (&[][..], frame(&nobody.encode_to_vec()), "5", "no model `nobody`"),
        (&[], Vec::new(), "3", "no message"),
        (&[], frame(&whole)[..2000].to_vec(), "3", "cut off"),
        (&[], vec![0, 0, 0], "3", "cut off"),
        (&[], frame(&[0x0b]), "3", "no ModelInferRequest"),
        (&[], vec![9, 0, 0, 0, 0], "3", "begins with 9"),
        (&[], vec![0, 0xff, 0xff, 0xff, 0xff], "8", "max_body_mb"),
        (&[], flagged.clone(), "3", "grpc-encoding does not say"),
        (&brotli, flagged, "12", "br"),
        (&deadline, frame(&whole), "4", "deadline"),
        (&wrong, frame(&whole), "3", "grpc-timeout"),
    ] {
        let said = send(&infer, headers, body).await;
        assert_eq!(
            (said.code(), said.http),
            (code, StatusCode::OK),
            "{word}: {}",
            said.text()
        );
        assert!(said.text().contains(word), "{word}: {}", said.text());
        assert!(said.status.contains_key("lucarne-code"));
    }
    for (method, word) in [
        ("Nothing", "no method Nothing"),
        ("SystemSharedMemoryStatus", "not supported"),
    ] {
        let said = send(&format!("/{SERVICE}/{method}"), &[], frame(&[])).await;
        assert_eq!(said.code(), "12");
        assert!(said.text().contains(word), "{}", said.text());
    }
    let plain = send(&infer, &[("content-type", "application/json")], b"{}".to_vec()).await;
    assert_eq!(plain.http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // The metrics count what it would be over REST.
    let metrics = String::from_utf8(get("/metrics").await.body).expect("text");
    let series = format!("lucarne_requests_total{{route=\"{infer}\",method=\"POST\",status=\"404\"}}");
    assert!(series_value(&metrics, &series) >= 1.0);
}

#[tokio::test]
async fn a_compressed_message_is_expanded() {
    let whole = of_photo("mobilenet_v2", "coffee.jpg").encode_to_vec();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&whole).expect("memory");
    let framed = frame(&encoder.finish().expect("memory"));
    let body = [&[1], &framed[1..]].concat();
    let said = send(
        &format!("/{SERVICE}/ModelInfer"),
        &[("grpc-encoding", "gzip")],
        body,
    )
    .await;
    let answer: ModelInferResponse = said.message();
    assert_eq!(answer.outputs[0].name, "scores");
}

#[tokio::test]
async fn a_stream_answers_each_request_in_its_turn() {
    let nobody = ModelInferRequest {
        model_name: "nobody".into(),
        id: "eight".into(),
        ..Default::default()
    };
    let good = of_photo("mobilenet_v2", "coffee.jpg");
    let body = [&good, &nobody, &good]
        .map(|request| frame(&request.encode_to_vec()))
        .concat();
    let said = send(&format!("/{SERVICE}/ModelStreamInfer"), &[], body).await;
    assert_eq!((said.code(), said.messages.len()), ("0", 3));
    let answers: Vec<ModelStreamInferResponse> = said
        .messages
        .iter()
        .map(|message| Message::decode(message.clone()).expect("an answer"))
        .collect();
    assert!(
        answers[1].error_message.contains("no model `nobody`"),
        "{:?}",
        answers[1]
    );
    assert_eq!(
        answers[1]
            .infer_response
            .as_ref()
            .map(|response| response.id.as_str()),
        Some("eight")
    );
    for answer in [&answers[0], &answers[2]] {
        let response = answer.infer_response.as_ref().expect("an answer");
        assert_eq!(
            (response.id.as_str(), answer.error_message.as_str()),
            ("seven", "")
        );
        assert!(response.parameters.contains_key("triton_final_response"));
    }
}

#[tokio::test]
async fn health_is_told_of_each_service() {
    let check = "/grpc.health.v1.Health/Check";
    for (service, expected) in [("", "0"), (SERVICE, "0"), ("nothing.Here", "5")] {
        let asked = HealthCheckRequest {
            service: service.into(),
        };
        let said = send(check, &[], frame(&asked.encode_to_vec())).await;
        assert_eq!(said.code(), expected, "{service}");
        if expected == "0" {
            assert_eq!(
                said.message::<HealthCheckResponse>().status().as_str_name(),
                "SERVING"
            );
        }
    }
}
