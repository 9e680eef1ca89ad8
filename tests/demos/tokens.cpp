// Ids of texts, for the tests that hold them to the Python side: CONTRACT.json TEXTS, in hexadecimal, a line each.
#include <fstream>
#include <iostream>

#include "contract.h"
#include "tokenize.h"

using namespace edgeflow;

int main(int, char** argv) {
  const Tokenizer tokenizer(read_contract(argv[1]).tokenize());
  std::ifstream lines(argv[2]);
  for (std::string line; std::getline(lines, line); std::cout << '\n') {
    std::string text;
    for (std::size_t at = 0; at + 1 < line.size(); at += 2)
      text.push_back(static_cast<char>(std::stoi(line.substr(at, 2), nullptr, 16)));
    try {
      for (const std::int64_t id : tokenizer.ids(text)) std::cout << id << ' ';
    } catch (const TextError&) {
      std::cout << "none";
    }
  }
  return 0;
}
