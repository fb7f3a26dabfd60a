//! The C ABI of `cpp/bridge.h`, declared once and wrapped once.
//!
//! Protocol: a call returns null, or an error text that the caller owns; [`check`] turns that into a [`Result`].
//! Invariant: a pointer leaves this module only inside [`OwnedValue`], or behind a type that frees it on drop.
#![expect(unsafe_code, reason = "this module is the boundary to C++")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::{BridgeError, Result};

/// `c10::IValue`
#[repr(C)]
pub(crate) struct RawValue {
    opaque: [u8; 0],
    // Neither Send nor Sync by itself: the type that holds the pointer says whether it is.
    marker: PhantomData<*mut u8>,
}

/// `torch::jit::Module`
#[repr(C)]
pub(crate) struct RawModule {
    opaque: [u8; 0],
    marker: PhantomData<*mut u8>,
}

/// `bridge::Capture`
#[repr(C)]
pub(crate) struct RawCapture {
    opaque: [u8; 0],
    marker: PhantomData<*mut u8>,
}

/// `torch::inductor::AOTIModelPackageLoader`
#[repr(C)]
pub(crate) struct RawPackage {
    opaque: [u8; 0],
    marker: PhantomData<*mut u8>,
}

/// `bridge::Specialised`
#[repr(C)]
pub(crate) struct RawSpecialised {
    opaque: [u8; 0],
    marker: PhantomData<*mut u8>,
}

/// `at::Generator`
#[repr(C)]
pub(crate) struct RawGenerator {
    opaque: [u8; 0],
    marker: PhantomData<*mut u8>,
}

/// An error text owned by the callee's caller, or null.
pub(crate) type ErrorText = *mut c_char;

unsafe extern "C" {
    pub(crate) fn bridge_string_free(text: ErrorText);

    pub(crate) fn bridge_value_none(out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_tensor(tensor: *const C_tensor, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_int(number: i64, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_double(number: f64, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_bool(flag: bool, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_string(bytes: *const u8, length: usize, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_value_list(
        items: *const *mut RawValue,
        count: usize,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_value_tuple(
        items: *const *mut RawValue,
        count: usize,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_value_dict(
        items: *const *mut RawValue,
        count: usize,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_value_free(value: *mut RawValue);
    pub(crate) fn bridge_value_kind(value: *const RawValue) -> c_int;
    pub(crate) fn bridge_value_type(value: *const RawValue, out: *mut *mut c_char) -> ErrorText;
    pub(crate) fn bridge_value_to_tensor(value: *const RawValue, out: *mut *mut C_tensor) -> ErrorText;
    pub(crate) fn bridge_value_to_int(value: *const RawValue, out: *mut i64) -> ErrorText;
    pub(crate) fn bridge_value_to_double(value: *const RawValue, out: *mut f64) -> ErrorText;
    pub(crate) fn bridge_value_to_bool(value: *const RawValue, out: *mut bool) -> ErrorText;
    pub(crate) fn bridge_value_to_string(
        value: *const RawValue,
        bytes: *mut *const u8,
        length: *mut usize,
    ) -> ErrorText;
    pub(crate) fn bridge_value_length(value: *const RawValue, out: *mut usize) -> ErrorText;
    pub(crate) fn bridge_value_items(
        value: *const RawValue,
        items: *mut *mut RawValue,
        capacity: usize,
    ) -> ErrorText;

    pub(crate) fn bridge_module_load(
        path: *const c_char,
        device: *const c_char,
        widened: bool,
        out: *mut *mut RawModule,
    ) -> ErrorText;
    pub(crate) fn bridge_module_build(
        description: *const RawValue,
        device: *const c_char,
        widened: bool,
        out: *mut *mut RawModule,
    ) -> ErrorText;
    pub(crate) fn bridge_module_free(module: *mut RawModule);
    pub(crate) fn bridge_module_methods(module: *const RawModule, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_module_is_stateful(module: *const RawModule, out: *mut bool) -> ErrorText;
    pub(crate) fn bridge_module_is_quantised(module: *const RawModule, out: *mut bool) -> ErrorText;
    pub(crate) fn bridge_module_weights(module: *const RawModule, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_module_tensor(
        module: *const RawModule,
        name: *const c_char,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_module_parameters(
        module: *const RawModule,
        count: *mut u64,
        bytes: *mut u64,
    ) -> ErrorText;
    pub(crate) fn bridge_module_prepare(
        module: *const RawModule,
        methods: *const RawValue,
        fuse: bool,
        kind: c_int,
        out: *mut *mut RawModule,
    ) -> ErrorText;
    pub(crate) fn bridge_module_shuffled(
        module: *const RawModule,
        parameters: *const RawValue,
        seed: u64,
        out: *mut *mut RawModule,
    ) -> ErrorText;
    pub(crate) fn bridge_module_weights_to_file(
        module: *const RawModule,
        method: *const c_char,
        least: usize,
        file: c_int,
        moved: *mut u64,
    ) -> ErrorText;
    pub(crate) fn bridge_module_forget_weights(module: *const RawModule, method: *const c_char) -> ErrorText;
    pub(crate) fn bridge_module_call(
        module: *const RawModule,
        method: *const c_char,
        inputs: *const RawValue,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_module_layers(
        module: *const RawModule,
        method: *const c_char,
        out: *mut *mut RawValue,
    ) -> ErrorText;

    pub(crate) fn bridge_module_cuts(
        module: *const RawModule,
        method: *const c_char,
        inputs: *const RawValue,
        out: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_specialised_new(
        module: *const RawModule,
        method: *const c_char,
        from: usize,
        to: usize,
        inputs: *const RawValue,
        out: *mut *mut RawSpecialised,
    ) -> ErrorText;
    pub(crate) fn bridge_specialised_free(specialised: *mut RawSpecialised);
    pub(crate) fn bridge_specialised_run(
        specialised: *const RawSpecialised,
        inputs: *const RawValue,
        out: *mut *mut RawValue,
    ) -> ErrorText;

    pub(crate) fn bridge_package_metadata(path: *const c_char, out: *mut *mut RawValue) -> ErrorText;
    pub(crate) fn bridge_package_load(
        path: *const c_char,
        runners: usize,
        device_index: c_int,
        out: *mut *mut RawPackage,
    ) -> ErrorText;
    pub(crate) fn bridge_package_free(package: *mut RawPackage);
    pub(crate) fn bridge_package_run(
        package: *mut RawPackage,
        inputs: *const RawValue,
        out: *mut *mut RawValue,
    ) -> ErrorText;

    pub(crate) fn bridge_capture_new(
        module: *const RawModule,
        method: *const c_char,
        taps: *const RawValue,
        out: *mut *mut RawCapture,
        placed: *mut *mut RawValue,
    ) -> ErrorText;
    pub(crate) fn bridge_capture_free(capture: *mut RawCapture);
    pub(crate) fn bridge_capture_run(
        capture: *const RawCapture,
        inputs: *const RawValue,
        given: *const RawValue,
        output: *mut *mut RawValue,
        recorded: *mut *mut RawValue,
    ) -> ErrorText;

    pub(crate) fn bridge_set_blocks(
        take: extern "C" fn(usize) -> *mut c_void,
        give: extern "C" fn(*mut c_void) -> bool,
    ) -> ErrorText;
    pub(crate) fn bridge_cuda_own_stream(index: c_int) -> ErrorText;
    pub(crate) fn bridge_cuda_pinned(tensor: *const C_tensor, out: *mut *mut C_tensor) -> ErrorText;
    pub(crate) fn bridge_cuda_allow_tf32(allowed: bool) -> ErrorText;

    pub(crate) fn bridge_generator_new(seed: u64, out: *mut *mut RawGenerator) -> ErrorText;
    pub(crate) fn bridge_generator_free(generator: *mut RawGenerator);
    pub(crate) fn bridge_generator_draw(
        generator: *mut RawGenerator,
        size: *const i64,
        dimensions: usize,
        normal: bool,
        out: *mut *mut C_tensor,
    ) -> ErrorText;

    pub(crate) fn bridge_grad(
        target: *const C_tensor,
        inputs: *const *const C_tensor,
        count: usize,
        keep_graph: bool,
        gradients: *mut *mut C_tensor,
    ) -> ErrorText;
}

/// Takes what a bridge function returned.
pub(crate) fn check(error: ErrorText) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    Err(BridgeError::of_words(take_text(error)))
}

/// Copies and frees a text of the bridge's.
pub(crate) fn take_text(text: *mut c_char) -> String {
    // SAFETY: the bridge hands out NUL-terminated texts, each of them once, to be freed by its own function.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        bridge_string_free(text);
        copy
    }
}

/// Makes an object through an `out` pointer.
pub(crate) fn produce<T>(make: impl FnOnce(*mut *mut T) -> ErrorText) -> Result<NonNull<T>> {
    let mut out = ptr::null_mut();
    check(make(&raw mut out))?;
    NonNull::new(out).ok_or_else(|| BridgeError::Torch("the bridge handed out nothing".to_owned()))
}

/// `text` for C++.
pub(crate) fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| BridgeError::NulByte(text.replace('\0', "\\0")))
}

/// Owns the tensor behind a pointer that the bridge handed out.
pub(crate) fn own_tensor(tensor: NonNull<C_tensor>) -> Tensor {
    // SAFETY: the bridge made it with `new at::Tensor` for this caller alone, which is how tch frees it.
    unsafe { Tensor::from_ptr(tensor.as_ptr()) }
}

/// A `c10::IValue` of our own.
pub(crate) struct OwnedValue(NonNull<RawValue>);

impl OwnedValue {
    /// Makes a value through an `out` pointer.
    pub(crate) fn produce(make: impl FnOnce(*mut *mut RawValue) -> ErrorText) -> Result<Self> {
        produce(make).map(Self)
    }

    /// Owns what is behind `pointer`, which the bridge must have handed out to this caller.
    pub(crate) fn from_pointer(pointer: NonNull<RawValue>) -> Self {
        Self(pointer)
    }

    pub(crate) fn as_ptr(&self) -> *mut RawValue {
        self.0.as_ptr()
    }
}

impl Drop for OwnedValue {
    fn drop(&mut self) {
        // SAFETY: made by the bridge, owned here, freed once.
        unsafe { bridge_value_free(self.0.as_ptr()) }
    }
}
