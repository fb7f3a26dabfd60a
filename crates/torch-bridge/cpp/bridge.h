// The C ABI between torch-bridge's Rust and libtorch, and what the C++ files share.
//
// Protocol: every exported function that can fail returns an error string, or null for success. A caller owns the
// string and gives it back to bridge_string_free. No C++ exception ever crosses the boundary: each function body runs
// inside `guarded`. Objects handed out through `out` pointers are owned by the caller until the matching *_free.
// Invariant: an `out` pointer is written only on success.
#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bridge {

using c10::IValue;
using Error = char*;

/// The message of the exception that is being handled, without a C++ backtrace. Call only inside a `catch`.
Error current_error() noexcept;

/// Runs `body`; whatever it throws becomes the returned message.
template <class Body>
Error guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (...) {
    return current_error();
  }
}

/// Turns a value that came over the boundary (its lists and dicts are untyped there) into one of TorchScript type
/// `type`: element types of containers, None for an optional, int for float. What does not fit is left as it is, for
/// the schema check to refuse with its own message.
IValue coerce(const IValue& value, const c10::TypePtr& type);

/// Makes the stack of a call: self, then `inputs` coerced to the schema's types, then the defaults of the rest.
torch::jit::Stack call_stack(const c10::FunctionSchema& schema, const IValue& self, const IValue& inputs);

/// Makes the schemas of all methods now: each is made when first asked for, without a lock, which must not happen once
/// the module is shared by threads.
void settle_schemas(const torch::jit::Module& module);

/// A call of a submodule's method: where it stands in a graph, and which module it calls.
struct CallSite {
  torch::jit::Node* node;
  /// Attribute names from the root module to the module called; empty for the root itself.
  std::vector<std::string> path;
  torch::jit::Module module;
  torch::jit::GraphFunction* function;
  /// Whether this is the call that a forward hook would see.
  bool is_forward;
};

/// Reads `node` as a call on a module that is reached from `self` by attributes alone; nothing otherwise.
std::optional<CallSite> call_site(
    torch::jit::Node* node, const torch::jit::Value* self, const torch::jit::Module& root);

/// "a.b.c"
std::string dotted(const std::vector<std::string>& path);

/// The method's own graph, before any optimisation; throws when the method is not TorchScript.
torch::jit::GraphFunction& graph_function(const torch::jit::Module& module, const std::string& method);

/// Writes what functions and methods do in the place of the calls that are wanted, and of those in them. libtorch's own pass
/// optimises each function first, which then holds for all its callers, so that no other pass over it has an effect.
void inline_calls(torch::jit::Graph& graph, const std::function<bool(torch::jit::Node*)>& is_wanted);
/// A copy in which every call is what is called.
std::shared_ptr<torch::jit::Graph> inlined_copy(torch::jit::Graph& graph);
/// The same as it runs in evaluation, without the branches that constants rule out: what these write to is not written to.
std::shared_ptr<torch::jit::Graph> evaluated_copy(torch::jit::Graph& graph);

/// Every node of a block, those of nested blocks too.
void each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit);

/// The graph of every method of a module and of the modules in it.
void each_graph(
    const torch::jit::Module& module, const std::function<void(torch::jit::Function&, torch::jit::Graph&)>& visit);
/// The inputs that a node writes to.
std::vector<const torch::jit::Value*> written_by(const torch::jit::Node* node);

/// Turns the floating-point parameters and buffers into this kind, and leaves whole numbers, which are indices and
/// counters.
void floats_to(torch::jit::Module& module, c10::ScalarType kind);
/// Turns whatever is in half precision into f32: weights, constants, and what the code converts to.
void widen(torch::jit::Module& module);
/// Throws where a method reads or writes files.
void refuse_files(const torch::jit::Module& module);
/// Has every method take its tensors as it needs them: a copy of what it writes to; in order, where an answer hangs on that.
void settle_inputs(torch::jit::Module& module);
/// Turns `view` into `reshape`, which takes tensors in any order, in whatever the methods of a module do.
void reshape_views(const torch::jit::Module& module);
/// Whether the answer of one of these graphs hangs on the order in which the numbers of a tensor lie in memory.
bool hangs_on_order(const std::vector<std::shared_ptr<torch::jit::Graph>>& graphs);
/// Has every batch norm that computes as in training leave the statistics of the training alone, which it would change and
/// does not read.
void forget_statistics(torch::jit::Graph& graph);

/// Gives the convolutions of a frozen graph their padding in numbers, where it is a word.
void pad_by_numbers(torch::jit::Graph& graph);

/// What one run of a captured graph carries through its taps.
struct RunState : torch::CustomClassHolder {
  /// [tap][execution][tensor]
  std::vector<std::vector<std::vector<at::Tensor>>> recorded;
  /// What the caller gave each tap: None, List[int] of channels, or List[List[Tensor]] of activations.
  std::vector<IValue> given;
  /// How often each tap has been reached so far in this run.
  std::vector<size_t> reached;
};

/// Registers the operators that stand for taps in a rewritten graph. Idempotent, safe from any thread.
void register_tap_operators();
/// The part of the above that guided backpropagation needs; not idempotent.
void register_guided_relu();
/// Replaces every ReLU of an inlined graph by the guided one. Returns how many there were.
int64_t guide_relus(torch::jit::Graph& graph);
/// Registers what torchvision's scripted models call in namespace `torchvision`. Idempotent, safe from any thread.
void register_torchvision_operators();

/// Non-maximum suppression as torchvision's `nms`: indices of the kept boxes, best score first.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold);
/// RoIAlign (He et al. 2017, section 3) as torchvision's `roi_align`; differentiable in `input`.
at::Tensor roi_align(
    const at::Tensor& input, const at::Tensor& rois, double spatial_scale, c10::SymInt pooled_height,
    c10::SymInt pooled_width, int64_t sampling_ratio, bool aligned);

struct Capture;
struct Specialised;

}  // namespace bridge

namespace torch::inductor {
class AOTIModelPackageLoader;
}

extern "C" {

void bridge_string_free(bridge::Error text);

// Values. Kinds are those of bridge_value_kind.
bridge::Error bridge_value_none(c10::IValue** out);
bridge::Error bridge_value_tensor(const at::Tensor* tensor, c10::IValue** out);
bridge::Error bridge_value_int(int64_t number, c10::IValue** out);
bridge::Error bridge_value_double(double number, c10::IValue** out);
bridge::Error bridge_value_bool(bool flag, c10::IValue** out);
bridge::Error bridge_value_string(const char* bytes, size_t length, c10::IValue** out);
bridge::Error bridge_value_list(const c10::IValue* const* items, size_t count, c10::IValue** out);
bridge::Error bridge_value_tuple(const c10::IValue* const* items, size_t count, c10::IValue** out);
/// `items` alternates keys and values; `count` counts both.
bridge::Error bridge_value_dict(const c10::IValue* const* items, size_t count, c10::IValue** out);
void bridge_value_free(c10::IValue* value);

/// 0 none, 1 tensor, 2 int, 3 double, 4 bool, 5 string, 6 list, 7 tuple, 8 dict, -1 anything else.
int bridge_value_kind(const c10::IValue* value);
/// The name of the value's TorchScript type, for messages.
bridge::Error bridge_value_type(const c10::IValue* value, char** out);
bridge::Error bridge_value_to_tensor(const c10::IValue* value, at::Tensor** out);
bridge::Error bridge_value_to_int(const c10::IValue* value, int64_t* out);
bridge::Error bridge_value_to_double(const c10::IValue* value, double* out);
bridge::Error bridge_value_to_bool(const c10::IValue* value, bool* out);
/// A view into the value, good while the value lives.
bridge::Error bridge_value_to_string(const c10::IValue* value, const char** bytes, size_t* length);
/// Number of elements of a list or tuple, of pairs of a dict.
bridge::Error bridge_value_length(const c10::IValue* value, size_t* out);
/// Writes every element (a dict's keys and values in turn) into `items`, which has room for `capacity`.
bridge::Error bridge_value_items(const c10::IValue* value, c10::IValue** items, size_t capacity);

// Modules.
/// `widened`: what is in half precision becomes f32.
bridge::Error bridge_module_load(const char* path, const char* device, bool widened, torch::jit::Module** out);
/// Builds a module as `exported.h` describes it.
bridge::Error bridge_module_build(
    const c10::IValue* description, const char* device, bool widened, torch::jit::Module** out);
void bridge_module_free(torch::jit::Module* module);
/// List of (name, List of (argument, type, has default), return type).
bridge::Error bridge_module_methods(const torch::jit::Module* module, c10::IValue** out);
/// Whether some method assigns to an attribute, so that two calls at once would race.
bridge::Error bridge_module_is_stateful(const torch::jit::Module* module, bool* out);
/// Whether some method computes with quantised numbers.
bridge::Error bridge_module_is_quantised(const torch::jit::Module* module, bool* out);
bridge::Error bridge_module_parameters(const torch::jit::Module* module, uint64_t* count, uint64_t* bytes);
/// List of (name, List of sizes), of every parameter.
bridge::Error bridge_module_weights(const torch::jit::Module* module, c10::IValue** out);
/// The parameter or the buffer of this name, or None.
bridge::Error bridge_module_tensor(const torch::jit::Module* module, const char* name, c10::IValue** out);
/// A frozen copy that keeps `methods`, a list of strings. `fuse`: the passes of torch.jit.optimize_for_inference too.
/// `kind`: the c10::ScalarType that floating-point parameters and buffers become, -1 to leave them.
bridge::Error bridge_module_prepare(
    const torch::jit::Module* module, const c10::IValue* methods, bool fuse, int kind, torch::jit::Module** out);
/// A copy with weights of its own, in which the values of each floating-point parameter of the list `parameters` have changed places.
bridge::Error bridge_module_shuffled(
    const torch::jit::Module* module, const c10::IValue* parameters, uint64_t seed, torch::jit::Module** out);
/// Writes the constants of a method that have at least so many bytes into an open file, and maps them from there. Nobody
/// may be running it. `moved`: their bytes.
bridge::Error bridge_module_weights_to_file(
    const torch::jit::Module* module, const char* method, size_t least, int file, uint64_t* moved);
/// Gives back the memory of what was mapped so; it is read from the file again when it is needed.
bridge::Error bridge_module_forget_weights(const torch::jit::Module* module, const char* method);
/// `inputs`: a tuple.
bridge::Error bridge_module_call(
    const torch::jit::Module* module, const char* method, const c10::IValue* inputs, c10::IValue** out);
/// List of (path, class name, number of call sites), in the order in which the layers finish.
bridge::Error bridge_module_layers(const torch::jit::Module* module, const char* method, c10::IValue** out);

// Methods compiled for one shape of input.
/// Where the method can be cut, by running it on the tuple `inputs`, whose first tensor tells the size of the batch: List
/// of (position, bytes of the largest step since the cut before, bytes that go over the cut). The last is the end.
bridge::Error bridge_module_cuts(
    const torch::jit::Module* module, const char* method, const c10::IValue* inputs, c10::IValue** out);
/// The part of the method between two cuts, 0 for its beginning. `inputs`: a tuple, of the method's arguments for a part
/// from 0, of one tensor for another. Runs it twice. The module must outlive what is made.
bridge::Error bridge_specialised_new(
    const torch::jit::Module* module, const char* method, size_t from, size_t to, const c10::IValue* inputs,
    bridge::Specialised** out);
void bridge_specialised_free(bridge::Specialised* specialised);
bridge::Error bridge_specialised_run(
    const bridge::Specialised* specialised, const c10::IValue* inputs, c10::IValue** out);

// Packages of AOTInductor.
/// What the package says of itself, as Dict[str, str]; runs none of its code.
bridge::Error bridge_package_metadata(const char* path, c10::IValue** out);
/// `runners`: calls that run side by side, on the same weights. `device_index`: -1 for the CPU.
bridge::Error bridge_package_load(
    const char* path, size_t runners, int device_index, torch::inductor::AOTIModelPackageLoader** out);
void bridge_package_free(torch::inductor::AOTIModelPackageLoader* package);
/// `inputs`: a tuple of tensors. `out`: a tuple of every tensor of the answer, in order.
bridge::Error bridge_package_run(
    torch::inductor::AOTIModelPackageLoader* package, const c10::IValue* inputs, c10::IValue** out);

// Captured graphs.
/// `taps`: list of (operator, path), where operator is record, zero_channel, replay or guided_relu.
/// `placed`: list of ints, the number of places each tap was put at.
bridge::Error bridge_capture_new(
    const torch::jit::Module* module, const char* method, const c10::IValue* taps, bridge::Capture** out,
    c10::IValue** placed);
void bridge_capture_free(bridge::Capture* capture);
/// `given`: a list with one value a tap. `recorded`: List[List[List[Tensor]]], [tap][execution][tensor].
bridge::Error bridge_capture_run(
    const bridge::Capture* capture, const c10::IValue* inputs, const c10::IValue* given, c10::IValue** output,
    c10::IValue** recorded);

// CUDA.
/// Gives the calling thread a stream of its own on this device, and makes both its current ones.
bridge::Error bridge_cuda_own_stream(int index);
/// A copy of a CPU tensor in page-locked memory.
bridge::Error bridge_cuda_pinned(const at::Tensor* tensor, at::Tensor** out);
/// Whether convolutions and products of f32 may be computed with TF32's 10 bits of mantissa.
bridge::Error bridge_cuda_allow_tf32(bool allowed);

// Random numbers.
bridge::Error bridge_generator_new(uint64_t seed, at::Generator** out);
void bridge_generator_free(at::Generator* generator);
/// Numbers of shape `size`: normal ones (mean 0, deviation 1), or uniform ones from 0 to 1.
bridge::Error bridge_generator_draw(
    at::Generator* generator, const int64_t* size, size_t dimensions, bool normal, at::Tensor** out);

/// Gradients of the scalar `target`; `gradients[i]` is null where `inputs[i]` did not contribute.
bridge::Error bridge_grad(
    const at::Tensor* target, const at::Tensor* const* inputs, size_t count, bool keep_graph,
    at::Tensor** gradients);

}  // extern "C"
