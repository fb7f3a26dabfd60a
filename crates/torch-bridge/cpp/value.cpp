// TorchScript values across the boundary: built bottom-up, read top-down.
//
// Lists and dicts have no element type until `coerce` gives them the one that the called schema asks for.
#include "bridge.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

#include <cstring>

namespace bridge {

namespace {

enum Kind : int { None, Tensor, Int, Double, Bool, String, List, Tuple, Dict, Other = -1 };

IValue coerce_list(const IValue& value, const c10::TypePtr& element) {
  c10::impl::GenericList list(element);
  for (const IValue& item : value.toListRef()) {
    IValue coerced = coerce(item, element);
    // A list checks nothing on insertion; one of the wrong type would be read as memory of the right one.
    TORCH_CHECK(
        coerced.type()->isSubtypeOf(*element), "expected a list of ", element->repr_str(), ", found ",
        coerced.type()->repr_str());
    list.push_back(std::move(coerced));
  }
  return list;
}

IValue coerce_dict(const IValue& value, const c10::TypePtr& key, const c10::TypePtr& element) {
  c10::impl::GenericDict dict(key, element);
  for (const auto& entry : value.toGenericDict()) {
    IValue coerced_key = coerce(entry.key(), key);
    IValue coerced = coerce(entry.value(), element);
    TORCH_CHECK(
        coerced_key.type()->isSubtypeOf(*key) && coerced.type()->isSubtypeOf(*element), "expected a dict of ",
        key->repr_str(), " to ", element->repr_str(), ", found ", coerced_key.type()->repr_str(), " to ",
        coerced.type()->repr_str());
    dict.insert_or_assign(std::move(coerced_key), std::move(coerced));
  }
  return dict;
}

IValue coerce_tuple(const IValue& value, const c10::TupleTypePtr& type) {
  const auto& items = value.toTupleRef().elements();
  const auto types = type->elements();
  if (items.size() != types.size()) {
    return value;
  }
  std::vector<IValue> coerced;
  for (size_t i = 0; i < types.size(); ++i) {
    coerced.push_back(coerce(items[i], types[i]));
  }
  return type->schema() ? IValue(c10::ivalue::Tuple::createNamed(std::move(coerced), type))
                        : IValue(c10::ivalue::Tuple::create(std::move(coerced)));
}

Error make(IValue value, IValue** out) noexcept {
  return guarded([&] { *out = new IValue(std::move(value)); });
}

std::vector<IValue> gather(const IValue* const* items, size_t count) {
  std::vector<IValue> values;
  values.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    values.push_back(*items[i]);
  }
  return values;
}

std::vector<IValue> elements(const IValue& value) {
  if (value.isList()) {
    return value.toListRef().vec();
  }
  if (value.isTuple()) {
    return value.toTupleRef().elements().vec();
  }
  std::vector<IValue> flat;
  for (const auto& entry : value.toGenericDict()) {
    flat.push_back(entry.key());
    flat.push_back(entry.value());
  }
  return flat;
}

}  // namespace

IValue coerce(const IValue& value, const c10::TypePtr& type) {
  if (auto optional = type->cast<c10::OptionalType>()) {
    return value.isNone() ? value : coerce(value, optional->getElementType());
  }
  if (auto list = type->cast<c10::ListType>(); list && value.isList()) {
    return coerce_list(value, list->getElementType());
  }
  if (auto dict = type->cast<c10::DictType>(); dict && value.isGenericDict()) {
    return coerce_dict(value, dict->getKeyType(), dict->getValueType());
  }
  if (auto tuple = type->cast<c10::TupleType>(); tuple && value.isTuple()) {
    return coerce_tuple(value, tuple);
  }
  if (type->kind() == c10::TypeKind::FloatType && value.isInt()) {
    return static_cast<double>(value.toInt());
  }
  return value;
}

torch::jit::Stack call_stack(const c10::FunctionSchema& schema, const IValue& self, const IValue& inputs) {
  const auto& given = inputs.toTupleRef().elements();
  const auto& arguments = schema.arguments();
  torch::jit::Stack stack{self};
  for (size_t i = 0; i < given.size(); ++i) {
    // Argument 0 is self. One input too many is for the schema check to refuse.
    stack.push_back(i + 1 < arguments.size() ? coerce(given[i], arguments[i + 1].type()) : given[i]);
  }
  schema.checkAndNormalizeInputs(stack);
  return stack;
}

}  // namespace bridge

using namespace bridge;

extern "C" {

Error bridge_value_none(IValue** out) { return make(IValue(), out); }
Error bridge_value_tensor(const at::Tensor* tensor, IValue** out) { return make(*tensor, out); }
Error bridge_value_int(int64_t number, IValue** out) { return make(number, out); }
Error bridge_value_double(double number, IValue** out) { return make(number, out); }
Error bridge_value_bool(bool flag, IValue** out) { return make(flag, out); }

Error bridge_value_string(const char* bytes, size_t length, IValue** out) {
  return guarded([&] { *out = new IValue(std::string(bytes, length)); });
}

Error bridge_value_list(const IValue* const* items, size_t count, IValue** out) {
  return guarded([&] {
    c10::impl::GenericList list(c10::AnyType::get());
    for (IValue& item : gather(items, count)) {
      list.push_back(std::move(item));
    }
    *out = new IValue(std::move(list));
  });
}

Error bridge_value_tuple(const IValue* const* items, size_t count, IValue** out) {
  return guarded([&] { *out = new IValue(c10::ivalue::Tuple::create(gather(items, count))); });
}

Error bridge_value_dict(const IValue* const* items, size_t count, IValue** out) {
  return guarded([&] {
    const std::vector<IValue> flat = gather(items, count);
    const c10::TypePtr key = count == 0 ? c10::TypePtr(c10::StringType::get()) : flat[0].type();
    c10::impl::GenericDict dict(key, c10::AnyType::get());
    for (size_t i = 0; i + 1 < flat.size(); i += 2) {
      dict.insert_or_assign(flat[i], flat[i + 1]);
    }
    *out = new IValue(std::move(dict));
  });
}

void bridge_value_free(IValue* value) { delete value; }

int bridge_value_kind(const IValue* value) {
  if (value->isNone() || (value->isTensor() && !value->toTensor().defined())) return Kind::None;
  if (value->isTensor()) return Kind::Tensor;
  if (value->isInt()) return Kind::Int;
  if (value->isDouble()) return Kind::Double;
  if (value->isBool()) return Kind::Bool;
  if (value->isString()) return Kind::String;
  if (value->isList()) return Kind::List;
  if (value->isTuple()) return Kind::Tuple;
  if (value->isGenericDict()) return Kind::Dict;
  return Kind::Other;
}

Error bridge_value_type(const IValue* value, char** out) {
  return guarded([&] {
    char* copy = strdup(value->type()->repr_str().c_str());
    TORCH_CHECK(copy, "out of memory");
    *out = copy;
  });
}

Error bridge_value_to_tensor(const IValue* value, at::Tensor** out) {
  return guarded([&] { *out = new at::Tensor(value->toTensor()); });
}

Error bridge_value_to_int(const IValue* value, int64_t* out) {
  return guarded([&] { *out = value->toInt(); });
}

Error bridge_value_to_double(const IValue* value, double* out) {
  return guarded([&] { *out = value->toDouble(); });
}

Error bridge_value_to_bool(const IValue* value, bool* out) {
  return guarded([&] { *out = value->toBool(); });
}

Error bridge_value_to_string(const IValue* value, const char** bytes, size_t* length) {
  return guarded([&] {
    const std::string& text = value->toStringRef();
    *bytes = text.data();
    *length = text.size();
  });
}

Error bridge_value_length(const IValue* value, size_t* out) {
  return guarded([&] {
    *out = value->isGenericDict() ? value->toGenericDict().size()
         : value->isTuple()       ? value->toTupleRef().elements().size()
                                  : value->toListRef().size();
  });
}

Error bridge_value_items(const IValue* value, IValue** items, size_t capacity) {
  return guarded([&] {
    const std::vector<IValue> all = elements(*value);
    TORCH_CHECK(all.size() <= capacity, "room for ", capacity, " elements, but there are ", all.size());
    std::vector<std::unique_ptr<IValue>> owned;
    for (const IValue& item : all) {
      owned.push_back(std::make_unique<IValue>(item));
    }
    for (size_t i = 0; i < owned.size(); ++i) {
      items[i] = owned[i].release();
    }
  });
}

}  // extern "C"
