// Streams of CUDA through c10's registry of devices: libtorch's CUDA half puts itself there when it is loaded, so
// nothing here links to it.
#include "bridge.h"

#include <ATen/Context.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

using namespace bridge;

extern "C" Error bridge_cuda_own_stream(int index) {
  return guarded([&] {
    TORCH_CHECK(c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA), "libtorch's CUDA libraries are not loaded");
    const auto* devices = c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA);
    TORCH_CHECK(index >= 0 && index < devices->deviceCount(), "there is no CUDA device ", index);
    const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
    devices->setDevice(device);
    devices->exchangeStream(devices->getNewStream(device));
  });
}

extern "C" Error bridge_cuda_pinned(const at::Tensor* tensor, at::Tensor** out) {
  return guarded([&] { *out = new at::Tensor(tensor->pin_memory()); });
}

extern "C" Error bridge_cuda_allow_tf32(bool allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuDNN(allowed);
    at::globalContext().setAllowTF32CuBLAS(allowed);
  });
}
