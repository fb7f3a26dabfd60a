//! Where large tensors lie. Alone in its process, as other tests would take the places in between.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use tch::{Device, Kind, Tensor};

fn ones() -> Tensor {
    Tensor::ones([1 << 18], (Kind::Float, Device::Cpu))
}

fn place() -> usize {
    ones().data_ptr() as usize
}

#[test]
fn a_large_tensor_lies_where_the_last_one_lay_whichever_thread_asks() {
    torch_bridge::share_blocks();
    torch_bridge::share_blocks();
    let first = place();
    assert_eq!(place(), first);
    assert_eq!(std::thread::spawn(place).join().expect("a thread"), first);

    let kept = ones();
    assert_eq!(kept.data_ptr() as usize, first);
    assert_ne!(place(), first);
    torch_bridge::release_unused();
    assert_eq!(kept.sum(Kind::Double).double_value(&[]), f64::from(1 << 18));
    drop(std::thread::spawn(move || drop(kept)).join());
    assert_eq!(place(), first, "another thread may give it back");

    let small = Tensor::ones([16], (Kind::Float, Device::Cpu));
    assert!((small.data_ptr() as usize).abs_diff(first) > 1 << 20);
}
