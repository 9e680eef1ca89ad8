// Latency: the first run apart, then warm-up, then what counts.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <thread>

#include "json_text.h"
#include "npy.h"
#include "session.h"

namespace {

using namespace edgeflow;

// Values that are neither zero nor denormal, the same on every device: sparse or skipping kernels get no free lunch.
Tensor made_up(const std::string& shape_text, Dtype dtype) {
  Shape shape;
  for (const std::string& part : split(shape_text, ',')) {
    if (part.size() > 9 || part.find_first_not_of("0123456789") != std::string::npos)
      throw UsageError("--shape is '" + shape_text + "', and should be whole numbers parted by commas");
    shape.push_back(std::stol(part));
  }
  Tensor tensor = Tensor::make(dtype, shape);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < tensor.count(); ++i) {
    state = state * 1664525U + 1013904223U;  // Source: Numerical Recipes, section 7.1, the quick generator
    if (dtype == Dtype::float32) tensor.data<float>()[i] = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
  }
  return tensor;
}

std::vector<Tensor> inputs_of(const Arguments& arguments, const Session& session) {
  std::vector<Tensor> inputs;
  for (const std::string& path : arguments.all("--in")) inputs.push_back(read_npy(path));
  for (const std::string& shape : arguments.all("--shape")) {
    const bool known = arguments.has("--contract") && inputs.size() < session.contract().inputs.size();
    inputs.push_back(made_up(shape, known ? session.contract().inputs[inputs.size()].dtype : Dtype::float32));
  }
  return inputs;
}

double run_once(Session& session) {
  const double begin = clock_ms();
  session.run();
  return clock_ms() - begin;
}

double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - static_cast<double>(low));
}

int bench(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  if (!arguments.words().empty())
    throw UsageError("'" + arguments.words().front() + "' stands alone, and inputs should follow --in or --shape");
  if (arguments.has("--in") == arguments.has("--shape")) throw UsageError("either --in or --shape should be given");
  const long warm_up = arguments.whole("--warm-up", 10, 0, 1000000),
             repeats = arguments.whole("--repeats", 50, 1, 1000000);
  const long cool_down_ms = arguments.whole("--cool-down-ms", 0, 0, 3600000);
  Session session(arguments);
  session.feed(inputs_of(arguments, session));
  const double first_ms = run_once(session);  // an NPU compiles its program here
  for (long i = 0; i < warm_up; ++i) run_once(session);
  if (cool_down_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(cool_down_ms));
  std::vector<double> times_ms;
  for (long i = 0; i < repeats; ++i) times_ms.push_back(run_once(session));
  std::vector<double> sorted = times_ms;
  std::sort(sorted.begin(), sorted.end());
  const double mean_ms = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
  const Json report = Json::object({{"load_ms", session.load_ms()},
                                    {"first_ms", first_ms},
                                    {"min_ms", sorted.front()},
                                    {"p50_ms", quantile(sorted, 0.5)},
                                    {"p90_ms", quantile(sorted, 0.9)},
                                    {"mean_ms", mean_ms},
                                    {"times_ms", times_ms},
                                    {"warm_up", warm_up},
                                    {"repeats", repeats},
                                    {"threads", session.options().threads},
                                    {"power_mode", power_modes[static_cast<std::size_t>(session.options().power_mode)]},
                                    {"library", session.version()}});
  std::cout << written(report) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      {"bench", "(--model FILE.nb | --contract FILE.json) (--in FILE.npy … | --shape 1,3,224,224 …)",
       "Measure latency: one first run, warm-up, cool-down, then --repeats runs; one line of JSON, times in ms.",
       with_common(
           {{"--in", Takes::many, "FILE.npy …  inputs in feed order"},
            {"--shape", Takes::many, "N,C,H,W …  made-up inputs of these shapes, of the contract's dtype or float32"},
            {"--warm-up", Takes::one, "N  runs that do not count (10)"},
            {"--repeats", Takes::one, "N  runs that count (50)"},
            {"--cool-down-ms", Takes::one, "MS  pause after warming up (0)"}}),
       bench},
      argc, argv);
}
