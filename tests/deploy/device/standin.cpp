// Speaks the command lines of dump and bench without Paddle Lite: replays what was recorded for the very bytes of model
// and samples.
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "recorded.h"  // MODEL_HASH, SAMPLE_BYTES, OUTPUT_BYTES, OUTPUT_DIMS, RECORDED[] of {hash of a sample, its output}

extern "C" const char* paddle_lite_version();

static uint64_t fnv1a(const char* data, size_t size) {
  uint64_t hash = 1469598103934665603ull;
  for (size_t k = 0; k < size; ++k) hash = (hash ^ static_cast<unsigned char>(data[k])) * 1099511628211ull;
  return hash;
}

static std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

static double now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static int die(const char* program, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program, what.c_str());
  return 1;
}

int main(int argc, char** argv) {
  const char* program = std::strrchr(argv[0], '/') ? std::strrchr(argv[0], '/') + 1 : argv[0];
  std::map<std::string, std::string> option;
  for (int k = 1; k + 1 < argc; k += 2) option[argv[k]] = argv[k + 1];
  const bool check = option.count("--check");
  if (check) option["--model"] = "model.nb", option["--in"] = "golden/in_0.npy";
  double start = now_ms();
  const std::string model = slurp(option["--model"]);
  if (fnv1a(model.data(), model.size()) != MODEL_HASH)
    return die(program, option["--model"] + ": is not the recorded model");
  double load_ms = now_ms() - start;
  const std::string in = slurp(option["--in"]);
  if (in.size() < 10 || in.compare(1, 5, "NUMPY")) return die(program, option["--in"] + ": is no .npy");
  const size_t head = 10 + static_cast<unsigned char>(in[8]) + 256 * static_cast<unsigned char>(in[9]);
  const size_t samples = (in.size() - head) / SAMPLE_BYTES;
  std::vector<double> times;
  std::string out;
  const int repeats = std::strcmp(program, "bench") ? 1 : std::stoi(option["--repeats"]) + 1;
  for (int run = 0; run < repeats; ++run) {
    double begin = now_ms();
    out.clear();
    for (size_t k = 0; k < samples; ++k) {
      uint64_t hash = fnv1a(in.data() + head + k * SAMPLE_BYTES, SAMPLE_BYTES);
      for (const auto& item : RECORDED)
        if (item.hash == hash) out.append(reinterpret_cast<const char*>(item.output), OUTPUT_BYTES);
    }
    times.push_back(now_ms() - begin);
  }
  if (out.size() != samples * OUTPUT_BYTES)
    return die(program, option["--in"] + ": holds samples that were not recorded");
  std::fprintf(stderr, "the runtime talks: %s, %s threads\n", paddle_lite_version(), option["--threads"].c_str());
  if (check) {
    const std::string golden = slurp("golden/out_0.npy");
    const bool same = golden.size() > out.size() && !golden.compare(golden.size() - out.size(), out.size(), out);
    std::puts(same ? "PASS: 1 outputs within max_abs" : "FAIL: output 0");
    return same ? 0 : 3;
  }
  if (!std::strcmp(program, "bench")) {
    std::string list;
    for (size_t k = 1; k < times.size(); ++k) list += (k > 1 ? "," : "") + std::to_string(times[k]);
    std::printf("{\"load_ms\":%f,\"first_ms\":%f,\"times_ms\":[%s]}\n", load_ms, times[0], list.c_str());
    return 0;
  }
  if (option.count("--cache-dir"))
    std::ofstream(option["--cache-dir"] + "/0123456789abcdef0123456789abcdef.nnc") << "compiled";
  std::string header =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(samples) + "," + OUTPUT_DIMS + "), }";
  header.resize((header.size() + 10 + 63) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  std::ofstream file(option["--out"] + "/out_0.npy", std::ios::binary);
  file << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size() & 255)
       << static_cast<char>(header.size() >> 8);
  file << header << out;
  if (!file.flush()) return die(program, option["--out"] + ": cannot be written: No space left on device");
  const size_t runs = option.count("--batch") ? samples / std::stoul(option["--batch"]) : 1;
  std::printf(
      "{\"outputs\":[{\"name\":\"out\",\"dtype\":\"float32\",\"shape\":[%zu,%s],\"file\":\"out_0.npy\"}],\"runs\":%zu}"
      "\n",
      samples, OUTPUT_DIMS, runs);
  return 0;
}
