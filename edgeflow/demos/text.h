// Reading text: letters from a recogniser's scores (CTC); the twin of edgeflow/core/text_reading.py.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tensor.h"

namespace edgeflow {

struct Reading {
  std::string text;
  double score;  // mean score of the letters; 0 without any
};

// What each class stands for; the blank (-1: the last class) is an empty text. The dictionary holds all other classes,
// the space too, which is never guessed. Throws std::runtime_error when lines are lost or too many, naming
// both numbers.
std::vector<std::string> letters_of(std::size_t classes, const std::vector<std::string>& dictionary, long blank = 0);

// Greedy CTC of each of the lines in scores [N, T, C]: the best class of each step, repeats merged into the first,
// blanks left out. A step that holds NaN reads nothing. For one line [T, 1, C] and [T, C] will do.
std::vector<Reading> read_texts(const Tensor& scores, std::size_t lines, const std::vector<std::string>& dictionary,
                                long blank = 0);

}  // namespace edgeflow
