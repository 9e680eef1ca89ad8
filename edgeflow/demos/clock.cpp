#include <chrono>

#include "device.h"

namespace edgeflow {

double clock_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace edgeflow
