// Exceptions of libtorch and of TorchScript as plain messages.
#include "bridge.h"

#include <cstdlib>
#include <cstring>

namespace bridge {

namespace {

// Handed out when there is no memory for a message; never freed.
char out_of_memory[] = "out of memory";

Error copy_of(const char* message) noexcept {
  char* copy = strdup(message);
  return copy ? copy : out_of_memory;
}

}  // namespace

Error current_error() noexcept {
  try {
    throw;
  } catch (const c10::Error& error) {
    return copy_of(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return copy_of(error.what());
  } catch (...) {
    return copy_of("an exception that is not a std::exception");
  }
}

}  // namespace bridge

extern "C" void bridge_string_free(bridge::Error text) {
  if (text != bridge::out_of_memory) {
    std::free(text);
  }
}
