// The whole vocabulary of the C++ tests: EXPECT, EXPECT_NEAR, EXPECT_THROWS, and `return failures();` at the end of
// main.
#pragma once

#include <cmath>
#include <cstdio>
#include <exception>
#include <string>

inline int& failure_count() {
  static int count = 0;
  return count;
}

inline void report(bool good, const char* file, int line, const std::string& what) {
  if (good) return;
  ++failure_count();
  std::printf("%s:%d: %s\n", file, line, what.c_str());
}

inline int failures() {
  if (failure_count() > 0) std::printf("%d failures\n", failure_count());
  return failure_count() > 0 ? 1 : 0;
}

#define EXPECT(claim) report((claim), __FILE__, __LINE__, #claim)
#define EXPECT_NEAR(got, wanted, limit)                                                                   \
  report(std::abs(static_cast<double>(got) - static_cast<double>(wanted)) <= (limit), __FILE__, __LINE__, \
         std::string(#got) + " is " + std::to_string(static_cast<double>(got)) + ", and should be " +     \
             std::to_string(static_cast<double>(wanted)))
// The statement throws, and its message holds the text.
#define EXPECT_THROWS(statement, text)                                                                             \
  do {                                                                                                             \
    std::string message = "nothing was thrown";                                                                    \
    try {                                                                                                          \
      statement;                                                                                                   \
    } catch (const std::exception& error) {                                                                        \
      message = error.what();                                                                                      \
    }                                                                                                              \
    report(message.find(text) != std::string::npos, __FILE__, __LINE__, std::string(#statement) + ": " + message); \
  } while (false)
