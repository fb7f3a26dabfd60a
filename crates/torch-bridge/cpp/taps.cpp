// The operators that stand for taps in a rewritten graph. Each takes the value that its layer gave, the state of the
// run and its own number, and hands on what the rest of the network shall see.
#include "bridge.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <mutex>

namespace bridge {

namespace {

using torch::jit::Stack;
using TensorMap = std::function<at::Tensor(const at::Tensor&)>;

// `value` with each tensor in it replaced. Containers are made anew: the old ones may belong to the model, or to the
// caller, and be in use in another thread.
IValue map_tensors(const IValue& value, const TensorMap& map) {
  if (value.isTensor()) {
    return value.toTensor().defined() ? IValue(map(value.toTensor())) : value;
  }
  if (value.isTuple()) {
    std::vector<IValue> items;
    for (const IValue& item : value.toTupleRef().elements()) {
      items.push_back(map_tensors(item, map));
    }
    return c10::ivalue::Tuple::createNamed(std::move(items), value.type());
  }
  if (value.isList()) {
    c10::impl::GenericList list(value.toList().elementType());
    for (const IValue& item : value.toListRef()) {
      list.push_back(map_tensors(item, map));
    }
    return list;
  }
  if (value.isGenericDict()) {
    const auto old = value.toGenericDict();
    c10::impl::GenericDict dict(old.keyType(), old.valueType());
    for (const auto& entry : old) {
      dict.insert(entry.key(), map_tensors(entry.value(), map));
    }
    return dict;
  }
  // An instance of a script class, such as torchvision's ImageList; a module keeps its own tensors.
  if (value.isObject() && !value.isModule()) {
    const auto object = value.toObject();
    auto copy = c10::ivalue::Object::create(object->type(), object->slots().size());
    for (size_t slot = 0; slot < object->slots().size(); ++slot) {
      copy->setSlot(slot, map_tensors(object->getSlot(slot), map));
    }
    return copy;
  }
  return value;
}

// What a forward hook would see, and a clone for the rest of the network: an in-place operation further on changes
// the clone alone, while gradients flow through it to what was recorded.
at::Tensor record_tensor(const at::Tensor& tensor, std::vector<at::Tensor>& slot) {
  if (!at::GradMode::is_enabled()) {
    slot.push_back(tensor.clone());
    return tensor;
  }
  // Weights that were frozen before export make no graph: one begins here, so that this layer can be explained.
  const bool begins_graph = !tensor.requires_grad() && (tensor.is_floating_point() || tensor.is_complex());
  slot.push_back(begins_graph ? tensor.detach().requires_grad_() : tensor);
  return slot.back().clone();
}

// A tap's inputs, taken off the stack: the state of the run and the tap's number in it.
struct Call {
  IValue capsule;
  size_t tap;

  explicit Call(Stack& stack) : tap(static_cast<size_t>(torch::jit::pop(stack).toInt())) {
    capsule = torch::jit::pop(stack);
  }

  RunState& state() const { return dynamic_cast<RunState&>(*capsule.toCapsule()); }
  const IValue& given() const { return state().given.at(tap); }
};

void record(Stack& stack) {
  const Call call(stack);
  const IValue value = torch::jit::pop(stack);
  std::vector<at::Tensor> slot;
  IValue handed_on = map_tensors(value, [&](const at::Tensor& tensor) { return record_tensor(tensor, slot); });
  call.state().recorded.at(call.tap).push_back(std::move(slot));
  stack.push_back(std::move(handed_on));
}

// Ablation (Desai and Ramaswamy 2020, "Ablation-CAM"): the output as if one channel of each sample had not fired.
at::Tensor without_channels(const at::Tensor& tensor, const std::vector<int64_t>& channels) {
  TORCH_CHECK(tensor.dim() >= 2, "a channel can be zeroed in [B, C, ...] only, the layer gave ", tensor.sizes());
  const auto batch = static_cast<size_t>(tensor.size(0));
  TORCH_CHECK(
      channels.size() == 1 || channels.size() == batch, "one channel, or one for each of ", batch,
      " samples, is needed, but ", channels.size(), " were given");
  at::Tensor copy = tensor.clone();
  for (size_t sample = 0; sample < batch; ++sample) {
    const int64_t channel = channels[channels.size() == 1 ? 0 : sample];
    if (channel >= 0) {
      copy.select(0, static_cast<int64_t>(sample)).select(0, channel).zero_();
    }
  }
  return copy;
}

void zero_channel(Stack& stack) {
  const Call call(stack);
  if (call.given().isNone()) {
    return;
  }
  std::vector<int64_t> channels;
  for (const IValue& channel : call.given().toListRef()) {
    channels.push_back(channel.toInt());
  }
  const IValue value = torch::jit::pop(stack);
  stack.push_back(map_tensors(value, [&](const at::Tensor& tensor) { return without_channels(tensor, channels); }));
}

// What the caller gave for this execution of the layer.
std::vector<IValue> next_replay(const Call& call) {
  const size_t execution = call.state().reached.at(call.tap)++;
  TORCH_CHECK(!call.given().isNone(), "a replay tap needs activations to replay");
  const auto& executions = call.given().toListRef();
  TORCH_CHECK(
      execution < executions.size(), "the layer runs a ", execution + 1, ". time, but activations of ",
      executions.size(), " executions were given");
  return executions[execution].toListRef().vec();
}

void replay(Stack& stack) {
  const Call call(stack);
  const IValue value = torch::jit::pop(stack);
  const std::vector<IValue> given = next_replay(call);
  size_t next = 0;
  IValue replayed = map_tensors(value, [&](const at::Tensor&) {
    TORCH_CHECK(next < given.size(), "the layer gives more than the ", given.size(), " tensors to replay");
    return given[next++].toTensor().clone();
  });
  TORCH_CHECK(next == given.size(), "the layer gives ", next, " tensors, but ", given.size(), " are to be replayed");
  stack.push_back(std::move(replayed));
}

void replay_tensor(Stack& stack) {
  const Call call(stack);
  const std::vector<IValue> given = next_replay(call);
  TORCH_CHECK(given.size() == 1, "the layer gives one tensor, but ", given.size(), " are to be replayed");
  stack.emplace_back(given[0].toTensor().clone());
}

void register_tap(const char* schema, void (*operation)(Stack&)) {
  // Conservative: it reads and writes the state of the run, so that it may neither be moved nor removed.
  torch::jit::registerOperator(torch::jit::Operator(schema, operation, c10::AliasAnalysisKind::CONSERVATIVE));
}

}  // namespace

void register_tap_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    register_tap("lucarne::record(t value, Capsule state, int tap) -> t", record);
    register_tap("lucarne::zero_channel(t value, Capsule state, int tap) -> t", zero_channel);
    register_tap("lucarne::replay(t value, Capsule state, int tap) -> t", replay);
    register_tap("lucarne::replay_tensor(Capsule state, int tap) -> Tensor", replay_tensor);
    register_guided_relu();
  });
}

}  // namespace bridge
