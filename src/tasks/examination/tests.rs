use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tch::Kind;

use super::*;
use crate::engine::cores::Cores;
use crate::manifest::Manifest;
use crate::tasks::Labels;

/// Answers the mean of each picture, scaled.
#[derive(Debug)]
struct Means(f64);

impl Program for Means {
    fn call(&self, _: &CorePermit<'_>, _: &str, inputs: &[Value]) -> Result<Value> {
        let pictures = inputs[0].tensors()[0].f_flatten(1, -1)?;
        let means = pictures.f_mean_dim(&[1i64][..], true, Kind::Float)?;
        Ok(Value::Tensor(means.f_mul_scalar(self.0)?))
    }

    fn device(&self) -> Device {
        Device::Cpu
    }
}

/// What examines a model of this manifest that is served as `program` and was exported as `exported`.
fn examined(
    text: &str,
    (program, precision): (Arc<dyn Program>, Precision),
    exported: &dyn Program,
) -> Result<()> {
    let spec = ModelSpec::new(Manifest::parse(text).expect("a model.toml"), Labels::default());
    assert!(can_be_examined(&spec));
    let share = Share {
        cores: Cores::of_this_machine(),
        count: 1,
    };
    let served = Opened {
        program,
        parameters: 0,
        precision,
        measured: None,
    };
    examine(&served, exported, &spec, &share)
}

#[test]
fn what_serves_answers_as_the_module_that_it_was_made_from() {
    let text = "task = \"regression\"\n\n[input]\nsize = [4, 4]\nresize = \"stretch\"\n\n[output]\nnames = [\"mean\"]\n";
    let examined = |factor: f64, precision| {
        let served: Arc<dyn Program> = Arc::new(Means(factor));
        examined(text, (served, precision), &Means(1.0))
    };
    assert_eq!(examined(1.001, Precision::F32), Ok(()));
    assert_eq!(examined(1.05, Precision::Bf16), Ok(()));
    assert_eq!(examined(1.05, Precision::F32), Err(Error::model(FAITHFUL)));
    assert_eq!(examined(1.5, Precision::Bf16), Err(Error::model(FAITHFUL)));
    assert_eq!(examined(f64::NAN, Precision::F32), Err(Error::model(NO_NUMBERS)));
}

/// What a model of tensors does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    None,
    Centres,
    Branches,
    Counts,
}

/// Answers a number for each row of its two inputs.
#[derive(Debug)]
struct Sums(Habit, AtomicU32);

impl Sums {
    fn of(habit: Habit) -> Self {
        Self(habit, AtomicU32::new(1))
    }
}

impl Program for Sums {
    fn call(&self, _: &CorePermit<'_>, _: &str, inputs: &[Value]) -> Result<Value> {
        let (x, k) = (inputs[0].tensors()[0], inputs[1].tensors()[0]);
        let [least, greatest] = [k.min(), k.max()].map(|end| end.int64_value(&[]));
        assert!((3..=9).contains(&least) && greatest <= 9, "{least} to {greatest}");
        let rows = x.f_sum_dim_intlist(&[1i64][..], true, Kind::Float)?;
        let rows = rows.f_add(&k.f_to_kind(Kind::Float)?)?;
        let calls = self.1.fetch_add(1, Ordering::Relaxed);
        let factor = match self.0 {
            Habit::Counts => f64::from(calls),
            Habit::Branches if x.mean(Kind::Float).double_value(&[]) > 0.1 => 2.0,
            _ => 1.0,
        };
        let rows = match self.0 {
            Habit::Centres => rows.f_sub(&rows.f_mean(Kind::Float)?)?,
            _ => rows,
        };
        Ok(Value::Tensor(rows.f_mul_scalar(factor)?))
    }

    fn device(&self) -> Device {
        Device::Cpu
    }
}

#[test]
fn rows_of_tensors_are_answered_as_alone_and_each_time_the_same() {
    let examined = |habit: Habit, more: &str| {
        let text = format!(
            "task = \"tensor\"\n[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [-1, 5]\n\
             [[inputs]]\nname = \"k\"\ndtype = \"i64\"\nshape = [-1, 1]\nrange = [3, 9]\n\
             [[outputs]]\nname = \"y\"\ndtype = \"f32\"\nshape = [-1, 1]\n{more}"
        );
        let served: Arc<dyn Program> = Arc::new(Sums::of(habit));
        examined(&text, (served, Precision::F32), &Sums::of(habit))
    };
    let alone = "[batching]\nmax_batch_size = 1\n";
    let mixes = Err(Error::model(Fault::Mixes.words(false)));
    assert_eq!(examined(Habit::None, ""), Ok(()));
    for mixing in [Habit::Centres, Habit::Branches] {
        assert_eq!(examined(mixing, ""), mixes, "{mixing:?}");
        assert_eq!(examined(mixing, alone), Ok(()), "{mixing:?}");
    }
    let unsteady = Err(Error::model(Fault::Unsteady.words(false)));
    assert_eq!(examined(Habit::Counts, alone), unsteady);
    assert!(
        Fault::Unsteady.words(true).contains("training=True") && Fault::Mixes.words(true).contains(ALONE)
    );
}

#[test]
fn answers_differ_by_what_is_more_than_rounding() {
    let of = |numbers: &[f32]| vec![Tensor::from_slice(numbers)];
    assert!(apart(&of(&[1.0, 10.0]), &of(&[1.05, 10.0])) < TOLERANCE);
    assert!(apart(&of(&[1.0, 10.0]), &of(&[1.2, 10.0])) > TOLERANCE);
    assert!(apart(&of(&[1.0]), &of(&[1.0, 2.0])) < TOLERANCE, "another form");
    assert!(apart(&of(&[f32::NAN]), &of(&[f32::NAN])) < TOLERANCE);
    // A pixel at the border between two classes.
    let mask = |pixel: i64| {
        vec![Tensor::cat(
            &[
                Tensor::ones([999], (Kind::Int64, Device::Cpu)),
                Tensor::from_slice(&[pixel]),
            ],
            0,
        )]
    };
    assert!(apart(&mask(1), &mask(4)) < TOLERANCE);
    assert!(apart(&mask(1), &mask(400)) > TOLERANCE);
}

#[test]
fn a_choice_of_the_best_may_come_in_another_order_within_its_row() {
    let rows = |numbers: &[f32]| vec![Tensor::from_slice(numbers).view([2, 2])];
    let (one, turned, swapped) = (
        rows(&[1.0, 2.0, 3.0, 4.0]),
        rows(&[2.0, 1.0, 3.0, 4.0]),
        rows(&[3.0, 4.0, 1.0, 2.0]),
    );
    let of_rows = Order::Chosen { from: 1 };
    assert!(of_rows.apart(&one, &turned) < TOLERANCE);
    assert!(of_rows.apart(&one, &swapped) > TOLERANCE, "each row has its own");
    assert!(Order::Chosen { from: 0 }.apart(&one, &swapped) < TOLERANCE);
    assert!(Order::Kept.apart(&one, &turned) > TOLERANCE);
}
