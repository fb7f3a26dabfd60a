//! Files that lie: each is refused with what is wrong, and none ends the process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use exported_program::{Exported, Refused};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const PROGRAM: &str = "models/model.json";
const WEIGHTS: &str = "data/weights/model_weights_config.json";
const CONSTANTS: &str = "data/constants/model_constants_config.json";

/// The records of a file that torch.export made, by their names without the root folder.
struct Records(Vec<(String, Vec<u8>)>);

impl Records {
    fn of(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../torch-bridge/tests/fixtures/exported");
        let file = File::open(fixtures.join(format!("{name}.pt2"))).unwrap();
        let mut archive = ZipArchive::new(file).unwrap();
        let mut records = Vec::new();
        for at in 0..archive.len() {
            let mut record = archive.by_index(at).unwrap();
            let name = record.name().unwrap().split_once('/').unwrap().1.to_owned();
            let mut bytes = Vec::new();
            record.read_to_end(&mut bytes).unwrap();
            records.push((name, bytes));
        }
        Self(records)
    }

    fn json(mut self, record: &str, change: impl FnOnce(&mut Value)) -> Self {
        let (_, bytes) = self.0.iter_mut().find(|(name, _)| name == record).unwrap();
        let mut value = serde_json::from_slice(bytes).unwrap();
        change(&mut value);
        *bytes = serde_json::to_vec(&value).unwrap();
        self
    }

    fn without(mut self, record: &str) -> Self {
        self.0.retain(|(name, _)| name != record);
        self
    }

    fn with(self, record: &str, bytes: &[u8]) -> Self {
        let mut records = self.without(record);
        records.0.push((record.into(), bytes.to_vec()));
        records
    }

    fn read(&self) -> Result<Exported, Refused> {
        let file = tempfile::tempfile().unwrap();
        let mut archive = ZipWriter::new(&file);
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, bytes) in &self.0 {
            archive.start_file(format!("it/{name}"), stored).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
        Exported::read(&file)
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let refused = self.read().expect_err(why).to_string();
        assert!(refused.contains(why) && refused.len() < 400, "{refused}");
    }
}

fn program(change: impl FnOnce(&mut Value)) -> Records {
    Records::of("nested").json(PROGRAM, change)
}

fn nodes(program: &mut Value) -> &mut Vec<Value> {
    program["graph_module"]["graph"]["nodes"].as_array_mut().unwrap()
}

#[test]
fn it_is_read_as_it_is() {
    let exported = Records::of("nested").read().unwrap();
    assert_eq!(exported.methods.len(), 1);
    assert_eq!(
        exported.modules,
        ["body", "body.0", "body.1", "fold", "drop", "head"]
    );
    assert_eq!(exported.weights.len(), 6);
}

#[test]
fn weights_that_are_not_what_their_table_says() {
    let weight = |change: fn(&mut Value)| {
        Records::of("nested").json(WEIGHTS, |table| change(&mut table["config"]["head.weight"]))
    };
    let size = |size: i64| json!([{"as_int": 5}, {"as_int": size}]);
    weight(|w| w["tensor_meta"]["sizes"] = json!([{"as_int": 5}, {"as_int": 5}]))
        .refused("needs more than the 80 bytes");
    weight(|w| w["tensor_meta"]["sizes"] = json!([{"as_int": i64::MAX}, {"as_int": i64::MAX}]))
        .refused("needs more");
    weight(|w| w["tensor_meta"]["strides"] = json!([{"as_int": i64::MAX}, {"as_int": 1}]))
        .refused("needs more");
    weight(|w| w["tensor_meta"]["storage_offset"] = json!({"as_int": 1})).refused("needs more");
    weight(|w| w["tensor_meta"]["storage_offset"] = json!({"as_int": -1}))
        .refused("its offset is no whole number");
    weight(|w| w["tensor_meta"]["sizes"] = json!([{"as_int": 20}]))
        .refused("its shape and its strides do not fit");
    weight(|w| w["tensor_meta"]["dtype"] = json!(99)).refused("there is no dtype 99");
    weight(|w| w["tensor_meta"]["dtype"] = json!(29)).refused("not computed with");
    weight(|w| w["tensor_meta"]["layout"] = json!(1)).refused("is not a dense tensor");
    weight(|w| w["tensor_meta"] = Value::Null).refused("it has no shape");
    weight(|w| w["use_pickle"] = json!(true)).refused("is a pickle");
    weight(|w| w["path_name"] = json!("../../models/model.json")).refused("its numbers are missing");
    Records::of("nested")
        .json(WEIGHTS, |table| {
            table["config"]["head.weight"]["tensor_meta"]["sizes"] = size(-4);
        })
        .refused("no list of whole numbers");
    Records::of("nested")
        .json(WEIGHTS, |table| table["config"] = json!({}))
        .refused("body.0.weight: it is missing");
    Records::of("nested")
        .without("data/weights/weight_0")
        .refused("its numbers are missing");
    Records::of("nested")
        .without(CONSTANTS)
        .refused("constants_config.json");
}

#[test]
fn graphs_whose_values_are_not_what_they_are_read_as() {
    program(|p| nodes(p).reverse()).refused("is read before it is made");
    program(|p| {
        let twice = nodes(p)[1].clone();
        nodes(p).insert(1, twice);
    })
    .refused("two values are called");
    program(|p| nodes(p)[1]["inputs"][0]["arg"] = json!({"as_sym_int": {"as_name": "x"}}))
        .refused("is a Tensor, and is read as");
    program(|p| nodes(p)[1]["target"] = json!("os.system"))
        .refused("os.system, which is no operator of torch");
    program(|p| nodes(p)[1]["target"] = json!("torch.ops.higher_order.while_loop")).refused("while_loop");
    program(|p| nodes(p)[1]["target"] = json!("_operator.mul")).refused("the 2 numbers that it takes");
    program(|p| nodes(p)[1]["outputs"] = json!([{"as_custom_obj": {"name": "a", "class_fqn": "b"}}]))
        .refused("something else");
    program(|p| nodes(p)[1]["inputs"][0]["arg"] = json!({"as_nothing_known": 1})).refused("unknown variant");
    program(|p| p["graph_module"]["graph"]["outputs"][0] = json!({"as_tensor": {"name": "nobody"}}))
        .refused("nobody");
    program(|p| {
        let outputs = p["graph_module"]["graph"]["outputs"].as_array_mut().unwrap();
        outputs.pop();
    })
    .refused("another number of outputs");
    program(|p| p["graph_module"]["graph"]["inputs"] = json!([])).refused("another number of inputs");
}

#[test]
fn signatures_that_do_not_fit() {
    let spec = |p: &mut Value, which: &str, text: &str| {
        p["graph_module"]["module_call_graph"][0]["signature"][which] = json!(text);
    };
    program(|p| spec(p, "out_spec", "[1, {}]")).refused("a tree of arguments or answers");
    program(|p| {
        spec(
            p,
            "out_spec",
            r#"[1, {"type": null, "context": null, "children_spec": []}]"#,
        );
    })
    .refused("the answer holds another number");
    program(|p| {
        spec(
            p,
            "in_spec",
            r#"[1, {"type": null, "context": null, "children_spec": []}]"#,
        );
    })
    .refused("arguments");
    program(|p| p["graph_module"]["module_call_graph"] = json!([]))
        .refused("the signature of the network is missing");
    program(|p| p["graph_module"]["module_call_graph"][1]["fqn"] = json!("a..b")).refused("is no path");
    program(|p| p["schema_version"]["major"] = json!(9)).refused("has version 9.");
    let mutation = json!({"buffer_mutation": {"arg": {"name": "relu_"}, "buffer_name": "scale"}});
    program(|p| p["graph_module"]["signature"]["output_specs"][0] = mutation)
        .refused("changes the buffer scale");
    let object =
        json!({"custom_obj": {"arg": {"name": "o", "class_fqn": "c"}, "custom_obj_name": "vocabulary"}});
    program(|p| p["graph_module"]["signature"]["input_specs"][0] = object)
        .refused("a custom class, vocabulary");
}

#[test]
fn what_is_deep_is_refused_where_it_is_too_deep() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    Records::of("nested")
        .with(PROGRAM, deep.as_bytes())
        .refused("the file is damaged");
    let within = format!("{{\"unknown\": {deep}}}");
    Records::of("nested")
        .with(PROGRAM, within.as_bytes())
        .refused("missing field");
    // A graph in a graph in a graph.
    let mut graph = json!({"inputs": [], "outputs": [], "nodes": [], "tensor_values": {}});
    for _ in 0..200 {
        let inner = json!({"name": "inner", "graph": graph});
        let node = json!({
            "target": "torch.ops.higher_order.wrap_with_set_grad_enabled",
            "inputs": [{"name": "", "arg": {"as_bool": true}}, {"name": "", "arg": {"as_graph": inner}}],
            "outputs": [], "metadata": {},
        });
        graph = json!({"inputs": [], "outputs": [], "nodes": [node], "tensor_values": {}});
    }
    program(|p| {
        let node = graph["nodes"][0].clone();
        nodes(p).push(node);
    })
    .refused("recursion limit");
    program(|p| {
        let stack: Vec<String> = (0..1000)
            .map(|at| format!("k{at},{},C", vec!["a"; at + 1].join(".")))
            .collect();
        nodes(p)[1]["metadata"]["nn_module_stack"] = json!(stack.join(";"));
    })
    .refused("more than 128 modules");
}

#[test]
fn calls_that_form_a_circle_are_a_part_of_what_is_around_them() {
    let exported = program(|p| {
        nodes(p)[1]["metadata"]["nn_module_stack"] = json!("a,body,A;b,head,B;c,body,A;d,body.0,C");
    });
    assert_eq!(exported.read().unwrap().methods.len(), 1);
}

#[test]
fn many_nodes_are_read_in_time() {
    let many = program(|p| {
        let node = nodes(p)[3].clone();
        for at in 0..100_000 {
            let mut node = node.clone();
            node["outputs"] = json!([{"as_tensor": {"name": format!("n{at}")}}]);
            nodes(p).push(node);
        }
    });
    let exported = many.read().unwrap();
    assert!(exported.methods[0].kinds.len() > 100_000);
}

#[test]
fn other_archives_are_told_apart() {
    let foreign = |records: Records| matches!(records.read(), Err(Refused::Foreign(_)));
    assert!(foreign(Records::of("nested").without("archive_format")));
    assert!(foreign(Records::of("nested").with("archive_format", b"pt3")));
    let package = Records::of("nested")
        .without(PROGRAM)
        .with("data/aotinductor/model/model.so", b"");
    package.refused("a package of AOTInductor");
    Records::of("nested")
        .with("byteorder", b"big")
        .refused("not little-endian");
}

#[test]
fn a_call_that_is_noted_by_its_name_alone_is_found() {
    let exported = program(|p| {
        nodes(p)[1]["metadata"]["nn_module_stack"] =
            json!("L__self__,,N;L__self__body,body,S;L__self__0,0,C");
    });
    let modules = exported.read().unwrap().modules;
    assert_eq!(
        modules[..3],
        ["body", "body.0", "body.1"],
        "there is no module 0 on top"
    );
    assert!(!modules.contains(&"0".to_owned()));
}
