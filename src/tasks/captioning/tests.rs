use std::cell::RefCell;

use tch::{Kind, Tensor};
use tokio::sync::mpsc;
use torch_bridge::Value;

use super::*;
use crate::engine::context::Progress;
use crate::manifest::Manifest;

const WORDS: [&str; 5] = ["<start>", "<end>", "a", "red", "boot"];
const CAPTION: [usize; 4] = [2, 3, 4, 1];

/// Says the caption, a word a step, whatever it is given; before each step it looks at what has been heard.
struct Speaker {
    steps: RefCell<usize>,
    words: RefCell<mpsc::Receiver<Event>>,
    heard_before_step: RefCell<Vec<usize>>,
}

impl Call for Speaker {
    fn call(&self, method: &str, inputs: &[Value]) -> Result<Value> {
        assert_eq!(method, "step");
        let heard = std::iter::from_fn(|| self.words.borrow_mut().try_recv().ok()).count();
        self.heard_before_step.borrow_mut().push(heard);
        let step = self.steps.replace_with(|step| *step + 1);
        let Value::Tensor(tokens) = &inputs[0] else {
            panic!("tokens come first")
        };
        let rows = tokens.size()[0];
        let logits = Tensor::zeros([rows, WORDS.len() as i64], (Kind::Float, Device::Cpu));
        let _sure = logits.narrow(1, CAPTION[step] as i64, 1).fill_(10.0);
        Ok(Value::Tuple(vec![Value::Tensor(logits), state(rows)]))
    }

    fn device(&self) -> Device {
        Device::Cpu
    }
}

fn state(rows: i64) -> Value {
    Value::Tensor(Tensor::zeros([rows, 1], (Kind::Float, Device::Cpu)))
}

#[test]
fn each_word_is_told_before_the_next_is_computed() {
    let text = "task = \"captioning\"\n[input]\nsize = [8, 8]\n[output]\nlabels = \"labels.txt\"";
    let manifest = Manifest::parse(text).expect("a captioner");
    let spec = ModelSpec::new(manifest, crate::tasks::Labels::new(WORDS.map(String::from)));
    let vocabulary = Vocabulary::of(&spec).expect("start and end are there");
    let (progress, words) = Progress::channel(8);
    let context = Context {
        progress,
        ..Context::default()
    };
    let options = Options::new(1, None, 0.0, false).expect("within bounds");
    let speaker = Speaker {
        steps: RefCell::default(),
        words: RefCell::new(words),
        heard_before_step: RefCell::default(),
    };
    let started = Value::Tuple(vec![state(1), state(1)]);
    let mut decoder = Decoder::resume(&speaker, started).expect("memory and state");
    let mut captions = [Running::new(&options, &context, &vocabulary)];
    let looks = search_all(&mut decoder, &mut captions, &vocabulary).expect("a caption");
    let [caption] = captions;
    assert_eq!(
        caption.finish(&vocabulary, &looks).expect("finished").text,
        "a red boot"
    );
    assert_eq!(
        *speaker.heard_before_step.borrow(),
        [0, 1, 1, 1],
        "one new word before each step but the first"
    );
}
