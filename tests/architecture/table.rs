//! Who may name whom. ARCHITECTURE.md shows the same table to readers.

/// A room, the rooms that it may name, and the guarded names that it may use.
pub struct Room {
    /// The top-level module of `src/`, or `protocol::…`: each protocol is a room of its own.
    pub name: &'static str,
    /// Rooms that it may name besides itself.
    pub rooms: &'static [&'static str],
    /// Of [`GUARDED`], what it may use.
    pub guarded: &'static [&'static str],
}

/// What only some rooms may use: crates, and the two sides of serde.
pub const GUARDED: [&str; 22] = [
    "exported_program",
    "tch",
    "torch_bridge",
    "axum",
    "grpc_messages",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_util",
    "multer",
    "tower",
    "tower_http",
    "ureq",
    "opentelemetry",
    "opentelemetry_http",
    "prometheus_client",
    "tracing_opentelemetry",
    "utoipa",
    "utoipa_axum",
    "serde_json",
    SERIALIZE,
    DESERIALIZE,
];

/// The side of serde that writes: `Serialize`, `Serializer` and `serde::ser`.
pub const SERIALIZE: &str = "serde::Serialize";

/// The side of serde that reads: `Deserialize`, `Deserializer` and `serde::de`.
pub const DESERIALIZE: &str = "serde::Deserialize";

/// Rooms that may name everything.
pub const UNBOUND: [&str; 4] = ["lib", "app", "cli", "main"];

/// From the ground up: a room names only rooms that stand before it.
pub const ROOMS: [Room; 21] = [
    Room {
        name: "error",
        rooms: &[],
        guarded: &[],
    },
    Room {
        name: "spans",
        rooms: &[],
        guarded: &[],
    },
    Room {
        name: "outbound",
        rooms: &[],
        guarded: &["ureq"],
    },
    Room {
        name: "config",
        rooms: &["error"],
        guarded: &["serde_json", SERIALIZE, DESERIALIZE],
    },
    Room {
        name: "image",
        rooms: &["error"],
        guarded: &["torch_bridge", DESERIALIZE],
    },
    Room {
        name: "manifest",
        rooms: &["error", "image"],
        guarded: &[DESERIALIZE],
    },
    Room {
        name: "engine",
        rooms: &["error", "spans"],
        guarded: &[],
    },
    Room {
        name: "runtime",
        rooms: &["error", "manifest", "engine"],
        guarded: &["exported_program", "tch", "torch_bridge"],
    },
    Room {
        name: "tasks",
        rooms: &["error", "manifest", "image", "engine", "runtime"],
        guarded: &["tch", "torch_bridge", "serde_json"],
    },
    Room {
        name: "evaluation",
        rooms: &["manifest", "tasks"],
        guarded: &[],
    },
    Room {
        name: "explain",
        rooms: &["error", "manifest", "image", "engine", "runtime", "tasks"],
        guarded: &["tch", "torch_bridge"],
    },
    Room {
        name: "catalog",
        rooms: &[
            "error", "manifest", "image", "engine", "runtime", "tasks", "explain",
        ],
        guarded: &["tch", "serde_json"],
    },
    Room {
        name: "telemetry",
        rooms: &["error", "spans", "outbound", "config", "engine"],
        guarded: &[
            "hyper",
            "ureq",
            "opentelemetry",
            "opentelemetry_http",
            "prometheus_client",
            "tracing_opentelemetry",
        ],
    },
    Room {
        name: "service",
        rooms: &[
            "error",
            "spans",
            "config",
            "image",
            "manifest",
            "engine",
            "tasks",
            "explain",
            "catalog",
            "telemetry",
        ],
        guarded: &[],
    },
    Room {
        name: "transport",
        rooms: &[
            "error",
            "spans",
            "outbound",
            "config",
            "engine",
            "catalog",
            "service",
            "telemetry",
        ],
        guarded: &[
            "axum",
            "grpc_messages",
            "http_body",
            "http_body_util",
            "hyper",
            "hyper_util",
            "tower",
            "tower_http",
            "serde_json",
            DESERIALIZE,
        ],
    },
    Room {
        name: "reading",
        rooms: &[
            "error",
            "config",
            "explain",
            "manifest",
            "service",
            "tasks",
            "transport",
        ],
        guarded: &["multer", "utoipa", "serde_json", DESERIALIZE],
    },
    Room {
        name: "protocol::oip",
        rooms: &[
            "error",
            "spans",
            "image",
            "manifest",
            "engine",
            "tasks",
            "explain",
            "catalog",
            "service",
            "transport",
            "telemetry",
            "reading",
        ],
        guarded: &[
            "axum",
            "grpc_messages",
            "utoipa",
            "utoipa_axum",
            "serde_json",
            SERIALIZE,
            DESERIALIZE,
        ],
    },
    Room {
        name: "protocol::torchserve",
        rooms: &[
            "error",
            "image",
            "manifest",
            "engine",
            "tasks",
            "explain",
            "catalog",
            "service",
            "transport",
            "reading",
        ],
        guarded: &[
            "axum",
            "utoipa",
            "utoipa_axum",
            "serde_json",
            SERIALIZE,
            DESERIALIZE,
        ],
    },
    Room {
        name: "protocol::grpc",
        rooms: &["error", "service", "transport"],
        guarded: &["axum", "grpc_messages"],
    },
    Room {
        name: "protocol::page",
        rooms: &["error", "transport"],
        guarded: &["axum"],
    },
    Room {
        name: "protocol::v1",
        rooms: &[
            "error",
            "config",
            "image",
            "manifest",
            "engine",
            "tasks",
            "explain",
            "catalog",
            "service",
            "transport",
            "telemetry",
            "reading",
        ],
        guarded: &[
            "axum",
            "utoipa",
            "utoipa_axum",
            "serde_json",
            SERIALIZE,
            DESERIALIZE,
        ],
    },
];

/// The row of a room.
pub fn row(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// Whether a room is one of the protocols, none of which may name another whatever its row says.
pub fn is_protocol(room: &str) -> bool {
    room.starts_with("protocol::")
}

/// Whether `room` may name `other`, a room or a guarded name.
pub fn may_name(room: &str, other: &str) -> bool {
    let of_its_own = other
        .strip_prefix(room)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if !of_its_own && is_protocol(room) && is_protocol(other) {
        return false;
    }
    of_its_own
        || UNBOUND.contains(&room)
        || row(room).is_some_and(|row| row.rooms.contains(&other) || row.guarded.contains(&other))
}

/// The room of a module: its first segment, of protocols the first two.
pub fn room_of(module: &[String]) -> String {
    match module {
        [] => "lib".into(),
        [first, second, ..] if first == "protocol" => format!("{first}::{second}"),
        [first, ..] => first.clone(),
    }
}

/// Which guarded name a path from outside of the crate uses; a glob of serde uses both of its sides.
pub fn guarded_by(path: &[String]) -> Vec<&'static str> {
    let Some(crate_name) = path.first() else {
        return Vec::new();
    };
    if crate_name != "serde" {
        return GUARDED.into_iter().filter(|name| name == crate_name).collect();
    }
    let uses = |words: &[&str]| path.iter().any(|segment| words.contains(&segment.as_str()));
    let mut sides = Vec::new();
    if uses(&["Serialize", "Serializer", "ser", "*"]) {
        sides.push(SERIALIZE);
    }
    if uses(&["Deserialize", "Deserializer", "DeserializeOwned", "de", "*"]) {
        sides.push(DESERIALIZE);
    }
    sides
}
