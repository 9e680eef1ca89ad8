// contract.json: what the build promises about a model, and the device programs keep to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tensor.h"

namespace edgeflow {

struct Preprocess {
  std::string
      resize;  // none, stretch, short_side, letterbox, letterbox_left, text_line, limit_long, limit_short or long_side
  std::vector<std::int64_t> size;  // H, W; empty for none: the picture may have any size
  std::vector<std::int64_t> crop;  // H, W, from the centre; empty: none
  std::string colour;              // RGB, BGR or GRAY
  float scale = 1.0F;
  std::vector<float> mean, std;   // one a channel, in the order of `colour`
  std::string layout;             // NCHW or NHWC
  float pad_value = 0.0F;         // of the border
  std::string pad_in = "pixels";  // what pad_value is: a pixel, or a value of the input

  std::string interpolation = "linear";  // linear, cubic or area

  // Has a border, and gives `size` whatever the picture.
  bool padded() const { return resize == "letterbox" || resize == "letterbox_left" || resize == "text_line"; }
  std::size_t channels() const { return colour == "GRAY" ? 1 : 3; }
};

// How a text becomes an input and those that go with it; see edgeflow/core/tokenize.py.
struct Tokenize {
  std::string kind;   // wordpiece or character
  std::string vocab;  // path
  std::string vocab_sha256;
  std::int64_t max_length = 0;                   // special tokens counted
  std::string padding;                           // max_length or longest
  std::string truncation;                        // end or none
  std::string unk, pad, cls, sep, continuation;  // tokens; cls and sep may be empty
  bool lower_case = false, strip_accents = false, split_cjk = false;
  std::string token_types, task_types, positions, mask, length;  // names of other inputs; empty: none
};

struct Input {
  std::string name;
  Dtype dtype = Dtype::float32;
  Shape shape;  // -1: any size
  std::optional<Preprocess> preprocess;
  std::optional<Tokenize> tokenize;
};

// What an output is; see edgeflow/core/output_kind.py.
struct OutputKind {
  std::string kind;                  // scores, ctc, map, boxes, landmarks, embedding, ids, sequence or tensor
  std::vector<std::string> columns;  // of boxes: what the last axis holds
  long blank = 0;                    // of CTC; -1: the last class
  double threshold = 0.5;            // from where on a map's value counts
  bool normalised = false;           // boxes are shares of the input
};

struct Golden {
  std::vector<std::string> inputs, outputs;  // paths
  double max_abs = 0.0;
  std::string picture, picture_input;  // paths; empty: none
  std::string texts;                   // path of a list of texts with their ids; empty: none
};

struct Contract {
  std::string path, name, target, task;
  std::string model, model_sha256;
  std::vector<Input> inputs;
  std::vector<std::string> outputs;
  std::vector<OutputKind> kinds;  // of the outputs; empty: nothing is said of them
  std::optional<Golden> golden;
  std::string labels;  // path; empty: none
  std::vector<std::string> devices;
  std::string context;
  bool predictor_per_batch = false;  // the runtime ties the model to the batch of its first run

  // The one input that is made from a picture; throws when there is none.
  std::size_t picture_input() const;

  // The place of the first output of a kind; nothing where there is none.
  std::optional<std::size_t> first_of(const std::string& kind) const;

  // The rules of the one input that is made from a text; throws when there is none.
  const Tokenize& tokenize() const;
};

// Throws std::runtime_error when the file is missing, larger than 1 MiB, no JSON, of another format, or names a path
// that leaves its folder. Paths in the result can be opened as they are.
Contract read_contract(const std::string& path);

}  // namespace edgeflow
