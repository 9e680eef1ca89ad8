// Whole files, read with a limit: nothing that comes from a file is believed before its size is known.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace edgeflow {

// Throws std::runtime_error when the file is missing or larger than `bytes_max`.
std::string read_file(const std::string& path, std::size_t bytes_max);
void write_file(const std::string& path, const std::string& bytes);

// Lines of a UTF-8 text: labels, or the dictionary of a recogniser. A last empty line is none.
std::vector<std::string> read_lines(const std::string& path);
std::vector<std::string> lines_of(const std::string& text);

// SHA-256 of a file, as lower-case hexadecimal.
std::string sha256_of(const std::string& path);
std::string sha256_text(const std::string& bytes);

}  // namespace edgeflow
