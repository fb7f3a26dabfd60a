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

RunState& state_of(const IValue& value) {
  return dynamic_cast<RunState&>(*value.toCapsule());
}

void record(Stack& stack) {
  const auto tap = static_cast<size_t>(torch::jit::pop(stack).toInt());
  const IValue state = torch::jit::pop(stack);
  const IValue value = torch::jit::pop(stack);
  auto& executions = state_of(state).recorded.at(tap);
  std::vector<at::Tensor> slot;
  IValue handed_on = map_tensors(value, [&](const at::Tensor& tensor) { return record_tensor(tensor, slot); });
  executions.push_back(std::move(slot));
  stack.push_back(std::move(handed_on));
}

torch::jit::Operator tap_operator(const char* schema, void (*operation)(Stack&)) {
  // Conservative: it writes to the state of the run, so that it may neither be moved nor removed.
  return torch::jit::Operator(schema, operation, c10::AliasAnalysisKind::CONSERVATIVE);
}

}  // namespace

void register_tap_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    torch::jit::registerOperator(tap_operator("lucarne::record(t value, Capsule state, int tap) -> t", record));
  });
}

}  // namespace bridge
