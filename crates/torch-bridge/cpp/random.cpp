// A random generator of one's own.
#include "bridge.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

using namespace bridge;

extern "C" {

Error bridge_generator_new(uint64_t seed, at::Generator** out) {
  return guarded([&] { *out = new at::Generator(at::make_generator<at::CPUGeneratorImpl>(seed)); });
}

void bridge_generator_free(at::Generator* generator) { delete generator; }

Error bridge_generator_draw(
    at::Generator* generator, const int64_t* size, size_t dimensions, bool normal, at::Tensor** out) {
  return guarded([&] {
    const at::IntArrayRef shape(size, dimensions);
    *out = new at::Tensor(normal ? at::randn(shape, *generator, at::TensorOptions()) : at::rand(shape, *generator, at::TensorOptions()));
  });
}

}  // extern "C"
