// A program of torch.export as a TorchScript module.
//
// The description comes from Rust, checked: names are known, values are made before they are read, weights fit their
// sizes. It is made of tuples, lists, numbers and texts:
//
//   description  (modules, weights, functions)
//   modules      [(path, class)], parents before children, without the top one, whose path is ""
//   weights      [(path, tensor, is_parameter)]
//   functions    [(path of its module, name, inputs, attributes, body, answer)], each behind those that it calls
//   inputs       [(name, tree of values)]
//   attributes   [(value, path of the weight)]
//   body         (steps, values that are given)
//   tree         ("leaf", value, type) | ("none") | ("list", trees) | ("tuple", trees) | ("dict", trees, keys)
//   steps        ("operator", name, overload, [(argument, arg)], outputs) | ("symbol", name, args, value, type) |
//                ("detach", value, value) | ("same", value, value) | ("check", arg, message) |
//                ("branch", value, body, body, values) | ("call", path, method, values, values)
//   outputs      [("one", value, type) | ("many", values) | ("nothing")]
//   arg          ("value", value) | ("tensors", values or None) | ("ints", [(is_value, int)]) | ("constant", anything) |
//                ("complex", real, imaginary) | ("device")
//
// A value is a number that is one's own within a method.
#pragma once

#include "bridge.h"

#include <memory>
#include <string>
#include <unordered_map>

namespace bridge {

/// The modules of a network that is being built.
class ModuleTree {
 public:
  ModuleTree(const IValue& modules, const IValue& weights, c10::Device device);

  const torch::jit::Module& at(const std::string& path) const;
  /// The attribute names that lead from the module at `from` to the module or weight at `to`. A module that is not within
  /// it becomes an attribute of it.
  std::vector<std::string> chain(const std::string& from, const std::string& to);

  c10::Device device;

 private:
  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  std::unordered_map<std::string, torch::jit::Module> modules_;
};

/// Adds a function of a description to its module.
void add_function(ModuleTree& tree, const IValue& function);

/// Registers the operators of namespace `quantized_decomposed`, which PyTorch has in Python alone, and those that stand for
/// what TorchScript has no words for. Idempotent, safe from any thread.
void register_export_operators();

}  // namespace bridge
