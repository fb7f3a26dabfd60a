// AOTInductor packages: a model that was compiled ahead of time, for one shape of input.
#include "bridge.h"

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

using namespace bridge;
using torch::inductor::AOTIModelPackageLoader;

namespace {

// The name that torch._inductor.aoti_compile_and_package gives the one model of a package.
constexpr const char* kModel = "model";

}  // namespace

extern "C" {

Error bridge_package_metadata(const char* path, IValue** out) {
  return guarded([&] {
    c10::impl::GenericDict entries(c10::AnyType::get(), c10::AnyType::get());
    for (const auto& [key, value] : AOTIModelPackageLoader::load_metadata_from_package(path, kModel)) {
      entries.insert(key, value);
    }
    *out = new IValue(std::move(entries));
  });
}

Error bridge_package_load(const char* path, size_t runners, int device_index, AOTIModelPackageLoader** out) {
  return guarded([&] {
    *out = new AOTIModelPackageLoader(
        path, kModel, /*run_single_threaded=*/false, runners, static_cast<c10::DeviceIndex>(device_index));
  });
}

void bridge_package_free(AOTIModelPackageLoader* package) { delete package; }

Error bridge_package_run(AOTIModelPackageLoader* package, const IValue* inputs, IValue** out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors;
    for (const IValue& input : inputs->toTupleRef().elements()) {
      tensors.push_back(input.toTensor());
    }
    std::vector<IValue> outputs;
    for (at::Tensor& output : package->boxed_run(std::move(tensors))) {
      outputs.emplace_back(std::move(output));
    }
    *out = new IValue(c10::ivalue::Tuple::create(std::move(outputs)));
  });
}

}  // extern "C"
