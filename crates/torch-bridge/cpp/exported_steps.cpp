// Operators and numbers of an exported program as nodes of a graph.
#include "exported_graph.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>

namespace bridge {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

bool is_number(const c10::TypePtr& type) {
  const auto kind = type->kind();
  return kind == c10::TypeKind::IntType || kind == c10::TypeKind::FloatType || kind == c10::TypeKind::BoolType ||
      kind == c10::TypeKind::ComplexType || kind == c10::TypeKind::NumberType;
}

// Sizes that may be symbols are ints in a graph.
c10::TypePtr plain(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::SymIntType:
      return c10::IntType::get();
    case c10::TypeKind::SymFloatType:
      return c10::FloatType::get();
    case c10::TypeKind::SymBoolType:
      return c10::BoolType::get();
    case c10::TypeKind::OptionalType:
      return c10::OptionalType::create(plain(type->expectRef<c10::OptionalType>().getElementType()));
    case c10::TypeKind::ListType:
      return c10::ListType::create(plain(type->expectRef<c10::ListType>().getElementType()));
    default:
      return type;
  }
}

std::string full_name(const std::string& name, const std::string& overload) {
  return overload.empty() ? name : name + "." + overload;
}

// A number where the overload takes a tensor stands for the overload that takes the number, as Python has it: with a
// tensor of the number, whole numbers would become doubles.
std::string overload_of(const std::string& name, const std::string& overload, const std::vector<bool>& numbers) {
  static const std::unordered_map<std::string, std::string> of_second{
      {"Tensor", "Scalar"}, {"Tensor_Tensor", "Tensor_Scalar"}, {"self", "ScalarOther"}, {"Tensor_mode", "Scalar_mode"}};
  const auto found = of_second.find(overload);
  const bool second = numbers.size() > 1 && numbers.back() && std::count(numbers.begin(), numbers.end(), true) == 1;
  if (!second || found == of_second.end()) {
    return overload;
  }
  const auto known = c10::Dispatcher::singleton().findSchema({name, found->second});
  return known ? found->second : overload;
}

}  // namespace

// ("operator", name, overload, [(argument, arg)], outputs)
void FunctionBuilder::operation(const std::vector<IValue>& parts) {
  const std::string& name = parts[1].toStringRef();
  const std::string asked = full_name(name, parts[2].toStringRef());
  auto& dispatcher = c10::Dispatcher::singleton();
  auto found = dispatcher.findSchema({name, parts[2].toStringRef()});
  TORCH_CHECK(found, "the program calls ", asked, ", which this libtorch does not have");
  std::unordered_map<std::string, const IValue*> given;
  const auto& all = parts[3].toListRef();
  for (size_t at = 0; at < all.size(); ++at) {
    const auto& pair = all[at].toTupleRef().elements();
    const std::string& by = pair[0].toStringRef();
    const auto& arguments = found->schema().arguments();
    TORCH_CHECK(!by.empty() || at < arguments.size(), asked, " gets more than it takes");
    given[by.empty() ? arguments[at].name() : by] = &pair[1];
  }
  std::vector<bool> numbers;
  for (const c10::Argument& expected : found->schema().arguments()) {
    if (expected.type()->kind() == c10::TypeKind::TensorType && given.count(expected.name())) {
      const IValue& arg = *given.at(expected.name());
      const auto& kind = arg.toTupleRef().elements()[0].toStringRef();
      const bool is_value = kind == "value" && is_number(value(arg.toTupleRef().elements()[1].toInt())->type());
      const bool is_constant = kind == "constant" && !arg.toTupleRef().elements()[1].isNone();
      numbers.push_back(is_value || is_constant);
    }
  }
  const std::string overload = overload_of(name, parts[2].toStringRef(), numbers);
  found = dispatcher.findSchema({name, overload});
  const c10::FunctionSchema& schema = found->schema();
  std::vector<Value*> inputs;
  size_t used = 0;
  for (const c10::Argument& expected : schema.arguments()) {
    const auto known = given.find(expected.name());
    used += known != given.end();
    TORCH_CHECK(
        known != given.end() || expected.default_value(), asked, " does not get ", expected.name(), ", which it takes");
    const c10::TypePtr wanted = plain(expected.type());
    inputs.push_back(
        known != given.end() ? argument(*known->second, wanted) : constant(*expected.default_value(), wanted));
  }
  TORCH_CHECK(used == given.size(), asked, " gets an argument that it does not take");
  const bool is_of_dtype = asked == "aten::view.dtype";
  const auto symbol = c10::Symbol::fromQualString(is_of_dtype ? "lucarne::view_dtype" : name);
  Node* node = graph_->insertNode(graph_->create(symbol, inputs, schema.returns().size()));
  for (size_t at = 0; at < schema.returns().size(); ++at) {
    node->outputs()[at]->setType(plain(schema.returns()[at].type()));
  }
  const torch::jit::Operator* matched = node->maybeOperator();
  TORCH_CHECK(
      matched && (is_of_dtype || matched->schema().overload_name() == overload), asked,
      " gets arguments of other types than it takes");
  outputs(node, parts[4]);
}

void FunctionBuilder::outputs(Node* node, const IValue& outputs) {
  const auto& all = outputs.toListRef();
  TORCH_CHECK(all.size() <= node->outputs().size(), node->kind().toQualString(), " gives less than is read of it");
  for (size_t at = 0; at < all.size(); ++at) {
    const auto& parts = all[at].toTupleRef().elements();
    const std::string& kind = parts[0].toStringRef();
    Value* output = node->outputs()[at];
    if (kind == "one") {
      const c10::TypePtr type = type_named(parts[2].toStringRef());
      const bool is_tensor = output->type()->kind() == c10::TypeKind::TensorType;
      TORCH_CHECK(
          is_tensor == (type->kind() == c10::TypeKind::TensorType), node->kind().toQualString(),
          " gives something else than is read of it");
      values_[parts[1].toInt()] = is_tensor ? output : number(output, type);
    } else if (kind == "many") {
      const auto& ids = parts[1].toListRef();
      TORCH_CHECK(
          output->type()->kind() == c10::TypeKind::ListType, node->kind().toQualString(), " gives no list");
      Node* several = graph_->insertNode(graph_->createListUnpack(output, ids.size()));
      for (size_t item = 0; item < ids.size(); ++item) {
        values_[ids[item].toInt()] = several->outputs()[item];
      }
    }
  }
}

// ("symbol", name, args, value, type)
void FunctionBuilder::symbol(const std::vector<IValue>& parts) {
  const std::string& name = parts[1].toStringRef();
  const c10::TypePtr type = type_named(parts[4].toStringRef());
  Value* result = nullptr;
  if (name == "prim::If") {
    result = choice(parts[2]);
  } else {
    std::vector<torch::jit::NamedValue> args;
    for (const IValue& arg : parts[2].toListRef()) {
      args.emplace_back(argument(arg, nullptr));
    }
    result = name.empty() ? args.at(0).value(*graph_) : graph_->insert(c10::Symbol::fromQualString(name), args);
  }
  values_[parts[3].toInt()] = number(result, type);
}

// One number or the other.
Value* FunctionBuilder::choice(const IValue& args) {
  const auto& all = args.toListRef();
  Value* condition = truth(argument(all[0], nullptr));
  Value* yes = argument(all[1], nullptr);
  Value* no = argument(all[2], nullptr);
  TORCH_CHECK(*yes->type() == *no->type(), "a choice between numbers of different types");
  Node* node = graph_->insertNode(graph_->create(c10::prim::If, {condition}, 1));
  for (Value* way : {yes, no}) {
    node->addBlock()->registerOutput(way);
  }
  return node->output()->setType(yes->type());
}

Value* FunctionBuilder::argument(const IValue& arg, const c10::TypePtr& wanted) {
  const auto& parts = arg.toTupleRef().elements();
  const std::string& kind = parts[0].toStringRef();
  if (kind == "value") {
    return fitted(value(parts[1].toInt()), wanted);
  }
  if (kind == "tensors") {
    return tensors(parts[1], wanted);
  }
  if (kind == "ints") {
    return ints(parts[1], wanted);
  }
  if (kind == "device") {
    return graph_->insertConstant(tree_.device);
  }
  if (kind == "complex") {
    return graph_->insertConstant(c10::complex<double>(parts[1].toDouble(), parts[2].toDouble()));
  }
  return constant(parts[1], wanted);
}

Value* FunctionBuilder::constant(const IValue& value, const c10::TypePtr& wanted) {
  return fitted(graph_->insertConstant(wanted ? coerce(value, wanted) : value), wanted);
}

Value* FunctionBuilder::tensors(const IValue& values, const c10::TypePtr& wanted) {
  c10::TypePtr element = c10::TensorType::get();
  c10::TypePtr list = wanted;
  if (auto optional = wanted ? wanted->cast<c10::OptionalType>() : nullptr) {
    list = optional->getElementType();
  }
  if (auto expected = list ? list->cast<c10::ListType>() : nullptr) {
    element = expected->getElementType();
  }
  std::vector<Value*> items;
  for (const IValue& item : values.toListRef()) {
    TORCH_CHECK(
        !item.isNone() || element->kind() == c10::TypeKind::OptionalType, "a list of tensors lacks one");
    items.push_back(item.isNone() ? graph_->insertConstant(IValue()) : value(item.toInt()));
  }
  return graph_->insertNode(graph_->createList(element, items))->output();
}

Value* FunctionBuilder::ints(const IValue& numbers, const c10::TypePtr& wanted) {
  const auto& all = numbers.toListRef();
  c10::List<int64_t> known;
  std::vector<Value*> items;
  bool is_known = true;
  for (const IValue& item : all) {
    const auto& pair = item.toTupleRef().elements();
    is_known = is_known && !pair[0].toBool();
    known.push_back(pair[1].toInt());
  }
  if (is_known) {
    return constant(IValue(known), wanted);
  }
  for (const IValue& item : all) {
    const auto& pair = item.toTupleRef().elements();
    items.push_back(pair[0].toBool() ? value(pair[1].toInt()) : graph_->insertConstant(pair[1].toInt()));
  }
  return graph_->insertNode(graph_->createList(c10::IntType::get(), items))->output();
}

Value* FunctionBuilder::fitted(Value* value, const c10::TypePtr& wanted) {
  if (!wanted) {
    return value;
  }
  c10::TypePtr type = wanted;
  if (auto optional = wanted->cast<c10::OptionalType>()) {
    type = optional->getElementType();
  }
  if (type->kind() == c10::TypeKind::TensorType && is_number(value->type())) {
    return graph_->insert(c10::Symbol::fromQualString("lucarne::wrapped_number"), {value});
  }
  if (type->kind() == c10::TypeKind::FloatType && value->type()->kind() == c10::TypeKind::IntType) {
    return number(value, type);
  }
  return value;
}

Value* FunctionBuilder::number(Value* value, const c10::TypePtr& type) {
  if (*value->type() == *type || !is_number(value->type())) {
    return value;
  }
  switch (type->kind()) {
    case c10::TypeKind::IntType:
      return graph_->insert(c10::aten::Int, {value});
    case c10::TypeKind::FloatType:
      return graph_->insert(c10::aten::Float, {value});
    default:
      return graph_->insert(c10::aten::Bool, {value});
  }
}

}  // namespace bridge
