// Declarations of what edgeflow/demos/paddle_lite.cpp uses, for compile checks where Paddle Lite is not there. Never
// shipped.
#pragma once

namespace paddle {
namespace lite_api {

enum class TargetType : int { kHost = 1 };
enum class PrecisionType : int {
  kUnk = 0,
  kFloat = 1,
  kInt8 = 2,
  kInt32 = 3,
  kAny = 4,
  kFP16 = 5,
  kBool = 6,
  kInt64 = 7,
  kInt16 = 8,
  kUInt8 = 9,
  kFP64 = 10
};
typedef enum {
  LITE_POWER_HIGH = 0,
  LITE_POWER_LOW = 1,
  LITE_POWER_FULL = 2,
  LITE_POWER_NO_BIND = 3,
  LITE_POWER_RAND_HIGH = 4,
  LITE_POWER_RAND_LOW = 5
} PowerMode;

}  // namespace lite_api
}  // namespace paddle
