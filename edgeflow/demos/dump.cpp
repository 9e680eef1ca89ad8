// .npy in, every output as .npy out: what remote verification drives.
#include <filesystem>
#include <iostream>

#include "json_text.h"
#include "npy.h"
#include "session.h"

namespace {

using namespace edgeflow;

int dump(const Arguments& arguments) {
  if (const auto done = run_alone(arguments)) return *done;
  if (!arguments.words().empty())
    throw UsageError("'" + arguments.words().front() + "' stands alone, and inputs should follow --in");
  if (!arguments.has("--in") || !arguments.has("--out")) throw UsageError("--in and --out should both be given");
  const std::filesystem::path folder = arguments.text("--out", "");
  std::vector<Tensor> inputs;
  for (const std::string& path : arguments.all("--in")) inputs.push_back(read_npy(path));
  Session session(arguments);
  std::vector<double> times_ms;
  const std::vector<Tensor> outputs =
      infer_batches(session, inputs, arguments.whole("--batch", 0, 0, 1 << 20), &times_ms);
  std::filesystem::create_directories(folder);
  Json list = Json::array();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string file = "out_" + std::to_string(i) + ".npy";
    write_npy((folder / file).string(), outputs[i]);
    list.push_back(Json::object({{"name", outputs[i].name},
                                 {"dtype", name_of(outputs[i].dtype)},
                                 {"shape", outputs[i].shape},
                                 {"file", file}}));
  }
  const Json report = Json::object(
      {{"outputs", list}, {"runs", times_ms.size()}, {"first_ms", times_ms.front()}, {"library", session.version()}});
  std::cout << written(report) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program({"dump", "(--model FILE.nb | --contract FILE.json) --in FILE.npy … --out DIR [--batch B]",
                      "Run a model on .npy inputs, in feed order, and write every output as DIR/out_0.npy, out_1.npy …",
                      with_common({{"--in", Takes::many, "FILE.npy …  inputs in feed order"},
                                   {"--out", Takes::one, "DIR  where the outputs go"},
                                   {"--batch", Takes::one, "B  samples in a run (all)"}}),
                      dump},
                     argc, argv);
}
