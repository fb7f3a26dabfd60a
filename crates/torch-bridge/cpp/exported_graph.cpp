// The functions of an exported program as graphs.
#include "exported_graph.h"

#include <torch/csrc/jit/ir/constants.h>

namespace bridge {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

c10::TypePtr type_named(const std::string& name) {
  if (name == "Tensor") {
    return c10::TensorType::get();
  }
  if (name == "int") {
    return c10::IntType::get();
  }
  return name == "float" ? c10::TypePtr(c10::FloatType::get()) : c10::TypePtr(c10::BoolType::get());
}

namespace {

// The one type of all, or nothing.
c10::TypePtr common(const std::vector<Value*>& values) {
  c10::TypePtr type = values.empty() ? c10::TypePtr(c10::TensorType::get()) : values[0]->type();
  for (const Value* value : values) {
    if (*value->type() != *type) {
      return nullptr;
    }
  }
  return type;
}

}  // namespace

FunctionBuilder::FunctionBuilder(ModuleTree& tree, const IValue& function)
    : tree_(tree), graph_(std::make_shared<Graph>()) {
  const std::vector<IValue> parts = function.toTupleRef().elements().vec();
  path_ = parts[0].toStringRef();
  name_ = parts[1].toStringRef();
  self_ = graph_->addInput("self")->setType(tree.at(path_).type());
  std::vector<c10::Argument> arguments{c10::Argument("self", tree.at(path_).type())};
  std::vector<std::pair<const IValue*, Value*>> given;
  for (const IValue& item : parts[2].toListRef()) {
    const auto& input = item.toTupleRef().elements();
    const c10::TypePtr type = type_of(input[1]);
    Value* value = graph_->addInput()->setType(type);
    arguments.emplace_back(input[0].toStringRef(), type);
    given.emplace_back(&input[1], value);
  }
  for (const auto& [shape, value] : given) {
    unpack(*shape, value);
  }
  for (const IValue& item : parts[3].toListRef()) {
    const auto& attribute = item.toTupleRef().elements();
    values_[attribute[0].toInt()] = attribute_value(tree_.chain(path_, attribute[1].toStringRef()));
  }
  steps(parts[4]);
  Value* answer = pack(parts[5]);
  graph_->registerOutput(answer);
  graph_->lint();
  schema_.emplace(name_, "", std::move(arguments), std::vector<c10::Argument>{c10::Argument("", answer->type())});
}

void FunctionBuilder::finish() {
  const torch::jit::Module& module = tree_.at(path_);
  auto* made = module._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*module.type()->name(), name_), graph_);
  made->setSchema(*schema_);
  module.type()->addMethod(made);
}

Value* FunctionBuilder::value(int64_t id) const {
  const auto found = values_.find(id);
  TORCH_CHECK(found != values_.end(), "a value is read where it is not known");
  return found->second;
}

Value* FunctionBuilder::attribute_value(const std::vector<std::string>& chain) {
  Value* value = self_;
  for (const std::string& name : chain) {
    value = graph_->insertGetAttr(value, name);
  }
  return value;
}

// The type that an argument of this shape has.
c10::TypePtr FunctionBuilder::type_of(const IValue& tree) const {
  const auto& parts = tree.toTupleRef().elements();
  const std::string& kind = parts[0].toStringRef();
  if (kind == "leaf") {
    return type_named(parts[2].toStringRef());
  }
  std::vector<c10::TypePtr> types;
  for (const IValue& item : parts[1].toListRef()) {
    types.push_back(type_of(item));
  }
  if (kind == "tuple") {
    return c10::TupleType::create(types);
  }
  for (const c10::TypePtr& type : types) {
    TORCH_CHECK(*type == *types[0], "an argument is a ", kind, " of values of different types; hand them over as a tuple");
  }
  TORCH_CHECK(!types.empty(), "an argument is an empty ", kind);
  return kind == "list" ? c10::TypePtr(c10::ListType::create(types[0]))
                        : c10::TypePtr(c10::DictType::create(key_type(parts[2]), types[0]));
}

c10::TypePtr FunctionBuilder::key_type(const IValue& keys) {
  const auto& all = keys.toListRef();
  const bool is_int = !all.empty() && all[0].isInt();
  return is_int ? c10::TypePtr(c10::IntType::get()) : c10::TypePtr(c10::StringType::get());
}

// Gives the values of an argument their numbers.
void FunctionBuilder::unpack(const IValue& tree, Value* value) {
  const auto& parts = tree.toTupleRef().elements();
  const std::string& kind = parts[0].toStringRef();
  if (kind == "leaf") {
    values_[parts[1].toInt()] = value;
    return;
  }
  const auto& items = parts[1].toListRef();
  if (kind == "dict") {
    const auto& keys = parts[2].toListRef();
    for (size_t at = 0; at < items.size(); ++at) {
      unpack(items[at], graph_->insert(c10::aten::__getitem__, {value, graph_->insertConstant(keys[at])}));
    }
    return;
  }
  Node* node = kind == "list" ? graph_->createListUnpack(value, items.size()) : graph_->createTupleUnpack(value);
  graph_->insertNode(node);
  for (size_t at = 0; at < items.size(); ++at) {
    unpack(items[at], node->outputs()[at]);
  }
}

// The answer, of the values that it is made of.
Value* FunctionBuilder::pack(const IValue& tree) {
  const auto& parts = tree.toTupleRef().elements();
  const std::string& kind = parts[0].toStringRef();
  if (kind == "leaf") {
    return value(parts[1].toInt());
  }
  if (kind == "none") {
    return graph_->insertConstant(IValue());
  }
  std::vector<Value*> items;
  std::vector<Value*> keys;
  const auto& given = parts[1].toListRef();
  for (size_t at = 0; at < given.size(); ++at) {
    Value* item = pack(given[at]);
    // What is None is left out of a dict, where it has a name that nobody finds then.
    if (kind == "dict" && item->type()->kind() == c10::TypeKind::NoneType) {
      continue;
    }
    items.push_back(item);
    if (kind == "dict") {
      keys.push_back(graph_->insertConstant(parts[2].toListRef()[at]));
    }
  }
  const c10::TypePtr type = common(items);
  if (kind == "dict") {
    const c10::TypePtr held = type ? type : c10::TypePtr(c10::AnyType::get());
    return graph_->insertNode(graph_->createDict(key_type(parts[2]), held, keys, items))->output();
  }
  Node* node = kind == "list" && type ? graph_->createList(type, items) : graph_->createTuple(items);
  return graph_->insertNode(node)->output();
}

void FunctionBuilder::steps(const IValue& body) {
  for (const IValue& item : body.toTupleRef().elements()[0].toListRef()) {
    step(item.toTupleRef().elements().vec());
  }
}

void FunctionBuilder::step(const std::vector<IValue>& parts) {
  const std::string& kind = parts[0].toStringRef();
  if (kind == "operator") {
    operation(parts);
  } else if (kind == "symbol") {
    symbol(parts);
  } else if (kind == "detach") {
    values_[parts[2].toInt()] = graph_->insert(c10::aten::detach, {value(parts[1].toInt())});
  } else if (kind == "same") {
    values_[parts[2].toInt()] = value(parts[1].toInt());
  } else if (kind == "check") {
    check(parts);
  } else if (kind == "branch") {
    branch(parts);
  } else {
    call(parts);
  }
}

void FunctionBuilder::check(const std::vector<IValue>& parts) {
  Node* node = graph_->insertNode(graph_->create(c10::prim::If, {truth(argument(parts[1], nullptr))}, 0));
  node->addBlock();
  torch::jit::WithInsertPoint inside(node->addBlock());
  Value* message = graph_->insertConstant(parts[2].toStringRef());
  graph_->insert(c10::prim::RaiseException, {message, graph_->insertConstant(IValue())});
}

// A truth value as such, where it is a tensor of one too.
Value* FunctionBuilder::truth(Value* value) {
  return value->type()->kind() == c10::TypeKind::BoolType ? value : graph_->insert(c10::aten::Bool, {value});
}

void FunctionBuilder::branch(const std::vector<IValue>& parts) {
  Value* condition = truth(value(parts[1].toInt()));
  const auto& outputs = parts[4].toListRef();
  Node* node = graph_->insertNode(graph_->create(c10::prim::If, {condition}, outputs.size()));
  for (const size_t way : {2, 3}) {
    torch::jit::Block* block = node->addBlock();
    torch::jit::WithInsertPoint inside(block);
    steps(parts[way]);
    for (const IValue& given : parts[way].toTupleRef().elements()[1].toListRef()) {
      block->registerOutput(value(given.toInt()));
    }
  }
  for (size_t at = 0; at < outputs.size(); ++at) {
    const c10::TypePtr type = node->blocks()[0]->outputs()[at]->type();
    TORCH_CHECK(*type == *node->blocks()[1]->outputs()[at]->type(), "the ways of a cond give values of different types");
    values_[outputs[at].toInt()] = node->outputs()[at]->setType(type);
  }
}

void FunctionBuilder::call(const std::vector<IValue>& parts) {
  const std::string& path = parts[1].toStringRef();
  const std::string& method = parts[2].toStringRef();
  std::vector<Value*> inputs{attribute_value(tree_.chain(path_, path))};
  for (const IValue& input : parts[3].toListRef()) {
    inputs.push_back(value(input.toInt()));
  }
  const torch::jit::Function& called = tree_.at(path).get_method(method).function();
  Node* node = graph_->insertNode(graph_->create(c10::prim::CallMethod, inputs, 1));
  node->s_(c10::attr::name, method);
  node->output()->setType(called.getSchema().returns()[0].type());
  const auto& outputs = parts[4].toListRef();
  if (outputs.size() == 1) {
    values_[outputs[0].toInt()] = node->output();
    return;
  }
  Node* several = graph_->insertNode(graph_->createTupleUnpack(node->output()));
  for (size_t at = 0; at < outputs.size(); ++at) {
    values_[outputs[at].toInt()] = several->outputs()[at];
  }
}

void add_function(ModuleTree& tree, const IValue& function) { FunctionBuilder(tree, function).finish(); }

}  // namespace bridge
