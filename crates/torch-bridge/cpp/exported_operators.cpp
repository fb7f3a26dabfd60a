// Operators that exported programs call and libtorch does not have.
//
// `quantized_decomposed` is defined in PyTorch's Python (torch/ao/quantization/fx/_decomposed.py): numbers are scaled,
// rounded and cut to a range in f32, which is what quantised networks are exported as.
#include "exported.h"

#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <mutex>

namespace bridge {

namespace {

using at::Tensor;

// The shape that has a vector run along one axis.
Tensor along(const Tensor& values, const Tensor& of, int64_t axis) {
  std::vector<int64_t> shape(of.dim(), 1);
  TORCH_CHECK(axis >= 0 && axis < of.dim(), "there is no axis ", axis);
  shape[axis] = -1;
  return values.view(shape);
}

Tensor rounded(const Tensor& scaled, int64_t least, int64_t most, at::ScalarType dtype) {
  return scaled.clamp(least, most).to(dtype);
}

Tensor quantize_per_tensor(
    const Tensor& input, double scale, int64_t zero_point, int64_t least, int64_t most, at::ScalarType dtype) {
  const Tensor single = input.to(at::kFloat);
  return rounded(at::round(single * (1.0 / scale)) + zero_point, least, most, dtype);
}

Tensor quantize_per_tensor_tensor(
    const Tensor& input, const Tensor& scale, const Tensor& zero_point, int64_t least, int64_t most,
    at::ScalarType dtype) {
  return quantize_per_tensor(input, scale.item<double>(), zero_point.item<int64_t>(), least, most, dtype);
}

Tensor dequantize_per_tensor(
    const Tensor& input, double scale, int64_t zero_point, int64_t, int64_t, at::ScalarType,
    std::optional<at::ScalarType> out_dtype) {
  return ((input.to(at::kFloat) - zero_point) * scale).to(out_dtype.value_or(at::kFloat));
}

Tensor dequantize_per_tensor_tensor(
    const Tensor& input, const Tensor& scale, const Tensor& zero_point, int64_t least, int64_t most,
    at::ScalarType dtype, std::optional<at::ScalarType> out_dtype) {
  return dequantize_per_tensor(
      input, scale.item<double>(), zero_point.item<int64_t>(), least, most, dtype, out_dtype);
}

Tensor quantize_per_channel(
    const Tensor& input, const Tensor& scales, const Tensor& zero_points, int64_t axis, int64_t least, int64_t most,
    at::ScalarType dtype) {
  const Tensor single = input.to(at::kFloat);
  const Tensor scaled = at::round(single * (1.0 / along(scales, input, axis))) + along(zero_points, input, axis);
  return rounded(scaled, least, most, dtype);
}

Tensor dequantize_per_channel(
    const Tensor& input, const Tensor& scales, const std::optional<Tensor>& zero_points, int64_t axis, int64_t, int64_t,
    at::ScalarType, std::optional<at::ScalarType> out_dtype) {
  Tensor shifted = input.to(at::kFloat);
  if (zero_points) {
    shifted = shifted - along(*zero_points, input, axis);
  }
  return (shifted * along(scales, input, axis)).to(out_dtype.value_or(at::kFloat));
}

// Scale and zero point of what has the range of `input` (asymmetric, as `determine_qparams`).
std::tuple<Tensor, Tensor> choose_qparams(
    const Tensor& input, int64_t least, int64_t most, double epsilon, at::ScalarType) {
  const double low = std::min(input.min().item<double>(), 0.0);
  const double high = std::max(input.max().item<double>(), 0.0);
  const double scale = std::max((high - low) / static_cast<double>(most - least), epsilon);
  const int64_t zero = std::clamp<int64_t>(least - std::llround(std::nearbyint(low / scale)), least, most);
  const auto options = at::TensorOptions().device(input.device());
  return {at::full({1}, scale, options.dtype(at::kDouble)), at::full({1}, zero, options.dtype(at::kLong))};
}

void register_quantised() {
  // Lives as long as the process: its end would take the operators away.
  static torch::Library library(torch::Library::FRAGMENT, "quantized_decomposed", std::nullopt, __FILE__, __LINE__);
  library.def(
      "quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max, ScalarType dtype) "
      "-> Tensor",
      &quantize_per_tensor);
  library.def(
      "quantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max, "
      "ScalarType dtype) -> Tensor",
      &quantize_per_tensor_tensor);
  library.def(
      "dequantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max, ScalarType dtype, "
      "*, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_per_tensor);
  library.def(
      "dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, int quant_max, "
      "ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_per_tensor_tensor);
  library.def(
      "quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int quant_max, "
      "ScalarType dtype) -> Tensor",
      &quantize_per_channel);
  library.def(
      "dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, int quant_min, int quant_max, "
      "ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_per_channel);
  library.def(
      "choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype) -> (Tensor, "
      "Tensor)",
      &choose_qparams);
}

// A number that operators take for one: it does not widen the tensors that it meets (c10's wrapped numbers).
void wrapped_number(torch::jit::Stack& stack) {
  at::Tensor tensor = c10::scalar_to_tensor(torch::jit::pop(stack).toScalar());
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  stack.emplace_back(std::move(tensor));
}

// The bits of a tensor as another dtype. A graph cannot name `aten::view.dtype`: to it a dtype is an int, and so a size.
void view_dtype(torch::jit::Stack& stack) {
  const auto dtype = static_cast<at::ScalarType>(torch::jit::pop(stack).toInt());
  const at::Tensor of = torch::jit::pop(stack).toTensor();
  stack.emplace_back(of.view(dtype));
}

}  // namespace

void register_export_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    register_quantised();
    torch::jit::registerOperator(torch::jit::Operator(
        "lucarne::wrapped_number(Scalar value) -> Tensor", wrapped_number, c10::AliasAnalysisKind::FROM_SCHEMA));
    torch::jit::registerOperator(torch::jit::Operator(
        "lucarne::view_dtype(Tensor(a) self, int dtype) -> Tensor(a)", view_dtype,
        c10::AliasAnalysisKind::FROM_SCHEMA));
  });
}

}  // namespace bridge
