//! Traces, as a collector gets them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::join_all;
use grpc_messages::Message;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::server::{Server, photo};

/// A collector, and what it was told.
struct Collector {
    endpoint: String,
    told: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it listens"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a connection"));
                while let Some(body) = body(&mut reader) {
                    bodies.lock().expect("nobody panicked").push(body);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    (&stream).write_all(answer).expect("the server reads");
                }
            }
        });
        Self { endpoint, told }
    }

    /// Every span that it was told of.
    fn spans(&self) -> Vec<Span> {
        let bodies = self.told.lock().expect("nobody panicked");
        let requests = bodies
            .iter()
            .map(|body| ExportTraceServiceRequest::decode(&body[..]).expect("a message"));
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect()
    }

    /// Whether `text` stands in anything that it was told.
    fn knows(&self, text: &str) -> bool {
        let bodies = self.told.lock().expect("nobody panicked");
        let has = |body: &Vec<u8>| body.windows(text.len()).any(|part| part == text.as_bytes());
        bodies.iter().any(has)
    }
}

/// The body of the next request; none at the end.
fn body(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.starts_with("POST") {
            assert!(line.starts_with("POST /v1/traces HTTP/1.1"), "{line}");
        }
        if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some(body);
        }
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// A trace id that ends in `number`, as a header has it.
fn traceparent(number: u8, flags: &str) -> String {
    format!("00-4bf92f3577b34da6a3ce929d0e0e47{number:02x}-00f067aa0ba902b7-{flags}")
}

#[tokio::test]
async fn a_trace_shows_the_stages_of_a_request_and_the_batch_that_it_shared() {
    const KEY: &str = "a-key-that-nobody-may-read";
    let collector = Collector::start();
    let several = |text: String| text.replace("max_delay_ms = 0", "max_delay_ms = 50");
    let mut server = Server::start(several, &["--otlp-endpoint", &collector.endpoint]).await;
    let ask = |path: &str, number: u8, flags: &str| {
        server
            .client
            .post(format!("{}{path}", server.url))
            .header("traceparent", traceparent(number, flags))
            .header("x-api-key", KEY)
            .header("content-type", "image/jpeg")
            .body(photo())
            .send()
    };
    let crowd = join_all((0..8).map(|number| ask("/v1/models/m/predict", number, "01"))).await;
    for answer in crowd {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    for (path, number, flags, status) in [
        ("/v1/models/m/explain", 8, "01", 200),
        ("/v2/models/m/infer", 9, "01", 200),
        ("/v1/models/nobody/predict", 10, "01", 404),
        ("/v1/models/m/predict", 11, "00", 200),
    ] {
        let answer = ask(path, number, flags).await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
    }
    let health = server.client.get(format!("{}/healthz", server.url));
    let health = health.header("traceparent", traceparent(12, "01"));
    assert_eq!(health.send().await.expect("an answer").status(), 200);
    server.terminate();
    assert!(server.ended().await.success());

    let spans = collector.spans();
    let of_trace = |number: u8| -> Vec<Span> {
        let mine = spans.iter().filter(|span| span.trace_id.last() == Some(&number));
        mine.filter(|span| span.trace_id.starts_with(&[0x4b, 0xf9]))
            .cloned()
            .collect()
    };
    let batches = named(&spans, "batch");
    for number in 0..8 {
        let mine = of_trace(number);
        let request = named(&mine, "POST /v1/models/{name}/predict");
        assert_eq!(request.len(), 1, "{mine:#?}");
        let request = request[0];
        assert_eq!(request.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert_eq!(request.kind, 2, "a server's");
        for (name, value) in [
            ("http.request.method", "POST"),
            ("http.route", "/v1/models/{name}/predict"),
            ("http.response.status_code", "200"),
            ("url.path", "/v1/models/m/predict"),
            ("lucarne.model", "m"),
            ("lucarne.version", "1"),
        ] {
            assert_eq!(
                text(request, name).as_deref(),
                Some(value),
                "{name}: {request:#?}"
            );
        }
        let stage = |name: &str| {
            let found = named(&mine, name);
            assert_eq!(found.len(), 1, "{name}: {mine:#?}");
            assert_eq!(found[0].parent_span_id, request.span_id, "{name}");
            found[0].clone()
        };
        let stages = ["intake", "decode", "queue", "compute", "encode"].map(stage);
        assert_eq!(mine.len(), 1 + stages.len(), "{mine:#?}");
        for (before, after) in stages.iter().zip(&stages[1..]) {
            assert!(
                before.end_time_unix_nano <= after.start_time_unix_nano,
                "{before:#?} {after:#?}"
            );
        }
        let compute = &stages[3];
        let batch = batches
            .iter()
            .find(|batch| batch.span_id == compute.links[0].span_id);
        let batch = batch.expect("the batch was told of");
        assert!(batch.links.iter().any(|link| link.span_id == request.span_id));
        assert_eq!(
            text(batch, "lucarne.batch_size"),
            Some(batch.links.len().to_string())
        );
    }
    assert!(
        batches.iter().any(|batch| batch.links.len() > 1),
        "no batch was shared"
    );
    for (number, stages) in [
        (8, &["intake", "decode", "queue", "compute", "encode"][..]),
        (9, &["intake", "decode", "queue", "compute", "encode"]),
        (10, &[]),
    ] {
        let mine = of_trace(number);
        for stage in stages {
            assert!(!named(&mine, stage).is_empty(), "{stage}: {mine:#?}");
        }
    }
    let refused = &of_trace(10)[0];
    assert_eq!(text(refused, "error.type").as_deref(), Some("model_not_found"));
    assert_eq!(text(refused, "http.response.status_code").as_deref(), Some("404"));
    assert!(of_trace(11).is_empty(), "its client did not want it traced");
    assert!(of_trace(12).is_empty(), "health is asked for all the time");
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
    assert!(
        roots
            .clone()
            .all(|root| root.name == "batch" && !root.links.is_empty()),
        "a stage stands alone: {:#?}",
        roots.collect::<Vec<_>>()
    );
    assert!(!collector.knows(KEY));
}

#[tokio::test]
async fn a_share_of_the_requests_is_traced_where_nobody_says_which() {
    let collector = Collector::start();
    let flags = ["--otlp-endpoint", &collector.endpoint, "--trace-one-in", "4"];
    let mut server = Server::start(|text| text, &flags).await;
    for _ in 0..200 {
        let url = format!("{}/v1/models/nobody/predict", server.url);
        let answer = server.client.post(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
    }
    server.terminate();
    assert!(server.ended().await.success());
    let traced = collector.spans().len();
    // Beyond this by chance once in ten million runs.
    assert!((18..=86).contains(&traced), "{traced} of 200, wanted 50");
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_never_answers_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_at = format!("http://{}", silent.local_addr().expect("it listens"));
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone_at = format!("http://{}", gone.local_addr().expect("it listens"));
    drop(gone);
    for endpoint in [silent_at, gone_at] {
        let mut server = Server::start(|text| text, &["--otlp-endpoint", &endpoint]).await;
        for _ in 0..3 {
            let answer = server
                .client
                .post(server.predict_url())
                .body(photo())
                .send()
                .await;
            assert_eq!(answer.expect("an answer").status(), 200);
        }
        let asked = Instant::now();
        server.terminate();
        assert!(server.ended().await.success(), "{endpoint}");
        assert!(
            asked.elapsed().as_secs() < 10,
            "{endpoint}: {:?}",
            asked.elapsed()
        );
    }
}
