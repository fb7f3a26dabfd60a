// A function of an exported program, as a graph that is being built.
#pragma once

#include "exported.h"

#include <optional>

namespace bridge {

class FunctionBuilder {
 public:
  FunctionBuilder(ModuleTree& tree, const IValue& function);

  /// Makes the graph a method of its module.
  void finish();

 private:
  torch::jit::Value* value(int64_t id) const;
  torch::jit::Value* attribute_value(const std::vector<std::string>& chain);
  c10::TypePtr type_of(const IValue& tree) const;
  static c10::TypePtr key_type(const IValue& keys);
  void unpack(const IValue& tree, torch::jit::Value* value);
  torch::jit::Value* pack(const IValue& tree);

  void steps(const IValue& body);
  void step(const std::vector<IValue>& parts);
  void check(const std::vector<IValue>& parts);
  void branch(const std::vector<IValue>& parts);
  void call(const std::vector<IValue>& parts);
  torch::jit::Value* truth(torch::jit::Value* value);

  void operation(const std::vector<IValue>& parts);
  void symbol(const std::vector<IValue>& parts);
  torch::jit::Value* choice(const IValue& args);
  /// An argument for a parameter of type `wanted`; null: of any.
  torch::jit::Value* argument(const IValue& arg, const c10::TypePtr& wanted);
  torch::jit::Value* tensors(const IValue& values, const c10::TypePtr& wanted);
  torch::jit::Value* ints(const IValue& numbers, const c10::TypePtr& wanted);
  torch::jit::Value* constant(const IValue& value, const c10::TypePtr& wanted);
  /// `value` as what a parameter of type `wanted` takes.
  torch::jit::Value* fitted(torch::jit::Value* value, const c10::TypePtr& wanted);
  /// `value` as a number of this type.
  torch::jit::Value* number(torch::jit::Value* value, const c10::TypePtr& type);
  void outputs(torch::jit::Node* node, const IValue& outputs);

  ModuleTree& tree_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::string path_;
  std::string name_;
  torch::jit::Value* self_;
  std::unordered_map<int64_t, torch::jit::Value*> values_;
  std::optional<c10::FunctionSchema> schema_;
};

/// The type of this name: Tensor, int, float, bool.
c10::TypePtr type_named(const std::string& name);

}  // namespace bridge
