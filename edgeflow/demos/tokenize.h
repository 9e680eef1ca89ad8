// From a text to a model's inputs, as the contract says and no other way: the twin of edgeflow/core/tokenizer.py.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "contract.h"
#include "tensor.h"

namespace edgeflow {

// Code points of UTF-8; what is none becomes U+FFFD, one for each longest piece that could have begun a character.
// Source: The Unicode Standard, section 3.9, table 3-7 and "U+FFFD substitution of maximal subparts".
std::u32string decoded(const std::string& bytes);

// Words of a text before they are looked up: cleaned, small, without accents, ideographs and punctuation alone.
std::vector<std::u32string> words_of(const std::string& text, const Tokenize& rules);

// A text that cannot be cut into ids; other texts may be.
struct TextError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Texts for one input, and what goes with them. Throws std::runtime_error when the vocabulary is missing, not the one
// that the contract was written for, or lacks a special token.
class Tokenizer {
 public:
  explicit Tokenizer(const Tokenize& rules);

  // Ids of a text, special ones included, cut to the longest; `whole` says whether something was cut. Not padded.
  // Throws TextError when the text holds no word, or is too long and may not be cut.
  std::vector<std::int64_t> ids(const std::string& text, bool* whole = nullptr) const;

  // All inputs of the contract for some texts, padded as it says. Throws when an input cannot be made from a text.
  std::vector<Tensor> inputs(const Contract& contract, const std::vector<std::vector<std::int64_t>>& ids) const;

 private:
  std::int64_t id_of(const std::string& token, const char* what) const;
  void add(const std::u32string& word, std::vector<std::int64_t>& ids) const;

  Tokenize rules_;
  std::unordered_map<std::string, std::int64_t> vocabulary_;
  std::int64_t unknown_ = 0, pad_ = 0, begin_ = -1, end_ = -1;
};

}  // namespace edgeflow
